"""Masked attention with grouped queries as plain Python loops, one query at a time.

This is the definition. `Attention` in `model.py` does the same with one kernel; tests compare the two.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention_loop(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Masked attention as its definition says, with Python loops: slow, and easy to trust.

    Args:
        query: `[B, H, S, hd]`.
        key, value: `[B, G, T, hd]`; query head `h` reads key-value head `h // (H / G)`.
        mask: bool, `[B, 1, S, T]` or what broadcasts to it: True where a query may look.

    Returns:
        `[B, H, S, hd]`; 0 for a query that may look nowhere.

    >>> one = torch.ones(1, 1, 1, 2)
    >>> attention_loop(one, torch.zeros(1, 1, 3, 2), torch.tensor([[[[1.0], [3.0], [9.0]]]]).expand(1, 1, 3, 2),
    ...     torch.tensor([True, True, False]))  # two equal scores: the mean of 1 and 3
    tensor([[[[2., 2.]]]])
    """
    batch, heads, length, head_dim = query.shape
    shared = heads // key.shape[1]
    mask = mask.expand(batch, 1, length, key.shape[2])
    output = torch.zeros_like(query)
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                seen = mask[b, 0, i].nonzero()[:, 0]  # the columns that this query looks at
                if len(seen):
                    scores = key[b, h // shared, seen] @ query[b, h, i] / head_dim**0.5  # [seen]
                    output[b, h, i] = scores.softmax(0) @ value[b, h // shared, seen]  # [hd]
    return output
