"""Who may look at whom.

A sequence is `[text][motion codes][END][PAD]`. The text is known from the start, so its positions see each other in
both directions (a "prefix" mask: Raffel et al., T5, arXiv:1910.10683, figure 3). Motion is predicted, so each of its
positions sees the whole text and the motion before it, never what comes after.

    row i looks at column j   when   j <= i   or   (i is text and j is text)
"""

from __future__ import annotations

import torch
from torch import Tensor


def prefix_mask(text_mask: Tensor, length: int) -> Tensor:
    """Boolean mask for `scaled_dot_product_attention`: True where row `i` may look at column `j`.

    No position needs hiding because it is padding: padding comes after everything real, so the causal rule already
    hides it.

    Args:
        text_mask: bool `[B, W]`, True on text slots; the text starts at slot 0 of each row.
        length: S, the length of the sequence, at least W.

    Returns:
        bool `[B, 1, S, S]`; the 1 broadcasts over the heads.

    >>> prefix_mask(torch.tensor([[True, True]]), 4)[0, 0].int()
    tensor([[1, 1, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 1, 1, 1]], dtype=torch.int32)
    """
    batch, width = text_mask.shape
    is_text = text_mask.new_zeros(batch, length, dtype=torch.bool)  # [B, S]
    is_text[:, :width] = text_mask[:, :length]
    causal = torch.ones(length, length, dtype=torch.bool, device=text_mask.device).tril()  # [S, S]
    both_text = is_text[:, :, None] & is_text[:, None, :]  # [B, S, S]
    return (causal | both_text)[:, None]


def step_mask(positions: Tensor, length: int) -> Tensor:
    """Mask for one new token a row: row `b` stands at `positions[b]` and sees the slots 0..positions[b].

    Args:
        positions: int64 `[B]`.
        length: how many cache slots there are to look at.

    Returns:
        bool `[B, 1, 1, length]`.

    >>> step_mask(torch.tensor([0, 2]), 3).flatten(1).int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    slots = torch.arange(length, device=positions.device)  # [length]
    return (slots <= positions[:, None])[:, None, None]
