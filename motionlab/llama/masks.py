"""Attention masks: which token may look at which.

A sequence is `[text][motion codes][END][PAD]`. The text is known from the start, so its positions see each other in
both directions (a "prefix" mask: Raffel et al., T5, arXiv:1910.10683, figure 3). Motion is predicted, so each of its
positions sees the whole text and the motion before it, never what comes after.

    row i looks at column j   when   j <= i   or   (i is text and j is text)

With a text of one slot (a pooled one) this is the plain causal rule, and `prefix_rule` says so by name: a kernel that
knows the rule skips the half that it hides, and needs no mask in memory.

Every mask here is boolean, True where row i (a query) may look at column j (a key), and has a dimension of 1 for the
heads where `scaled_dot_product_attention` wants one. A row without any True gives zeros there; nothing reads them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from motionlab.errors import InputError

Mask = Tensor | Literal["causal"] | None
"""The attention mask: a boolean tensor, the causal rule by name, or None: everyone at everyone."""


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    """`[S, S]`: each position sees itself and what came before.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(pad_masks: Tensor) -> Tensor:
    """`[B, 1, N, N]`: every real token sees every real token, padding sees and shows nothing.

    Args:
        pad_masks: `[B, N]`, true on real tokens.

    >>> padding_mask(torch.tensor([[True, True, False]]))[0, 0].int()
    tensor([[1, 1, 0],
            [1, 1, 0],
            [0, 0, 0]], dtype=torch.int32)
    """
    real = pad_masks.bool()
    return (real[:, :, None] & real[:, None, :])[:, None]


def prefix_mask(text_mask: Tensor, length: int) -> Tensor:
    """The mask of `MotionLlama`: text in both directions, then causal.

    No position needs hiding because it is padding: padding comes after everything real, so the causal rule already
    hides it.

    Args:
        text_mask: bool `[B, W]`, True on text slots; the text starts at slot 0 of each row.
        length: S, the length of the sequence, at least W.

    Returns:
        bool `[B, 1, S, S]`.

    >>> prefix_mask(torch.tensor([[True, True]]), 4)[0, 0].int()
    tensor([[1, 1, 0, 0],
            [1, 1, 0, 0],
            [1, 1, 1, 0],
            [1, 1, 1, 1]], dtype=torch.int32)
    """
    batch, width = text_mask.shape
    is_text = text_mask.new_zeros(batch, length, dtype=torch.bool)  # [B, S]
    is_text[:, :width] = text_mask[:, :length]
    both_text = is_text[:, :, None] & is_text[:, None, :]  # [B, S, S]
    return (causal_mask(length, text_mask.device) | both_text)[:, None]


def prefix_rule(text_mask: Tensor, length: int) -> Mask:
    """`prefix_mask`, or "causal" where it is the same.

    >>> prefix_rule(torch.tensor([[True]]), 4)
    'causal'
    """
    return "causal" if text_mask.shape[1] == 1 else prefix_mask(text_mask, length)


def make_att_2d_masks(pad_masks: Tensor, att_masks: Tensor) -> Tensor:
    """The rule of big_vision, openpi and lerobot: one 0/1 number per token says where a new block starts.

    A 1 means "tokens before me may not look at me", a 0 "I belong to the block of the token before me". With
    `c = cumsum(att_masks)`, the number of its block, token `i` sees token `j` when `c[j] <= c[i]` and both are real.
    Comparing the raw 0/1 numbers without the cumulative sum is a common mistake: a token marked 1 would then see all.

    All 0: everyone sees everyone. All 1: causal. 0 on the text and 1 on the motion: `prefix_mask`.

    Args:
        pad_masks: `[B, N]`, true on real tokens.
        att_masks: 0/1 or bool, `[B, N]` or `[N]`.

    Returns:
        bool `[B, N, N]`.

    >>> # two text tokens, one of padding, a state, and two actions that share a block (as in pi0)
    >>> make_att_2d_masks(torch.tensor([[1, 1, 0, 1, 1, 1]]), torch.tensor([0, 0, 0, 1, 1, 0]))[0].int()
    tensor([[1, 1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0],
            [1, 1, 0, 1, 0, 0],
            [1, 1, 0, 1, 1, 1],
            [1, 1, 0, 1, 1, 1]], dtype=torch.int32)
    """
    if pad_masks.dim() != 2 or att_masks.shape not in (pad_masks.shape, pad_masks.shape[1:]):
        raise InputError(
            "masks",
            found=f"pad_masks {list(pad_masks.shape)} and att_masks {list(att_masks.shape)}",
            expected="[B, N] and [B, N] or [N]",
            fix="Give one number per token.",
        )
    real = pad_masks.bool()
    block = att_masks.long().expand(real.shape).cumsum(1)  # [B, N]; long first: a sum of bools must not stay bool
    return (block[:, None, :] <= block[:, :, None]) & real[:, None, :] & real[:, :, None]


def real_positions(tokens: Tensor, text_mask: Tensor, pad_token: int) -> Tensor:
    """Which positions of `[text][codes][END][PAD]` are not padding, bool `[B, S]`. Text slots carry PAD and are real.

    >>> real_positions(torch.tensor([[9, 9, 3, 9]]), torch.tensor([[True, True]]), pad_token=9).int()
    tensor([[1, 1, 1, 0]], dtype=torch.int32)
    """
    real = tokens != pad_token
    real[:, : text_mask.shape[1]] |= text_mask.bool()
    return real


def position_ids(pad_masks: Tensor) -> Tensor:
    """Positions that padding does not use up: int64 `[B, N]`, `cumsum - 1`; what padding itself gets is never read.

    >>> position_ids(torch.tensor([[1, 1, 0, 1]]))
    tensor([[0, 1, 1, 2]])
    """
    return pad_masks.long().cumsum(1) - 1
