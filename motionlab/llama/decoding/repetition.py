"""Repetition control: what has been written makes itself less likely, or impossible.

A still pose is a code that repeats, so a motion model repeats more than a language model, and rightly. Use these
against loops that never end, not as a habit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def penalise_repeats(logits: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Make codes that a row has written less likely: positive logits are divided by `penalty`, negative multiplied.

    Keskar et al., "CTRL", arXiv:1909.05858.

    Args:
        logits: `[B, V]`.
        written: int64 `[B, n]`, the codes so far.
        penalty: above 1 against repeats, 1 for no change.

    >>> penalise_repeats(torch.tensor([[2.0, -2.0, 2.0]]), torch.tensor([[0, 1]]), 2.0)
    tensor([[ 1., -4.,  2.]])
    """
    if penalty == 1.0 or written.shape[1] == 0:
        return logits
    seen = logits.gather(1, written)  # [B, n]
    return logits.scatter(1, written, torch.where(seen > 0, seen / penalty, seen * penalty))


def forbid_ngrams(logits: Tensor, written: Tensor, size: int) -> Tensor:
    """Forbid every code that would complete a run of `size` codes which the row has written before.

    A row that would have no choice left is not changed.

    Args:
        logits: `[B, V]`; minus infinity forbids a token already.
        written: int64 `[B, n]`.
        size: 0 for no change; 1 forbids every code that was written.

    >>> forbid_ngrams(torch.zeros(1, 4), torch.tensor([[1, 2, 3, 1, 2]]), size=3)  # 1 2 3 was there
    tensor([[0., 0., 0., -inf]])
    """
    if size == 0 or written.shape[1] < size:
        return logits
    runs = written.unfold(1, size, 1)  # [B, n - size + 1, size]
    recent = written[:, written.shape[1] - size + 1 :]  # [B, size - 1]
    again = (runs[..., :-1] == recent[:, None]).all(-1)  # [B, n - size + 1]
    # A run ends with a code: that code is forbidden when any of its runs starts with the recent codes.
    forbidden = torch.zeros_like(logits).scatter_reduce(1, runs[..., -1], again.to(logits.dtype), "amax")
    changed = logits.masked_fill(forbidden > 0, float("-inf"))
    return torch.where(changed.isneginf().all(-1, keepdim=True), logits, changed)
