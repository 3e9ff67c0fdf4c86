"""Changing the input codes while training, so that the model learns to continue after its own mistakes.

While training, the model reads the true codes ("teacher forcing"); while generating, it reads its own. The gap is
called exposure bias. Each function here changes what the model reads and leaves the targets clean:

    corrupt_codes   random codes instead of some       (Zhang et al., "T2M-GPT", arXiv:2301.06052, replace a half;
                                                        the published MotionMillion scripts replace none)
    mix_codes       the model's own codes instead of some   (scheduled sampling, arXiv:1506.03099)
    mask_codes      a MASK token instead of some       (Chang et al., "MaskGIT", arXiv:2202.04200)

`strategies.py` makes training steps of them. END, PAD and text slots always stay. The published code replaces END
and PAD too, which teaches the model that a motion can continue after its end.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

KeepRate = Literal["fixed", "batch", "sample"]


def keep_rates(keep: float, per: KeepRate, batch: int, generator: torch.Generator | None = None) -> Tensor:
    """The probability that a code stays, one per row: `[B, 1]`.

    Args:
        keep: "fixed": the probability itself; else the lower end of the range that it is drawn from, up to 1.
        per: "fixed", or a new draw for each "batch" (the published `pkeep=-1` is `keep=0` with this), or for each
            "sample". A model that meets all rates learns to tell how far its input can be trusted.

    >>> keep_rates(0.5, "fixed", batch=2).tolist()
    [[0.5], [0.5]]
    """
    if per == "fixed":
        return torch.full((batch, 1), keep)
    draws = torch.rand(1 if per == "batch" else batch, 1, generator=generator)
    return (keep + (1 - keep) * draws).expand(batch, 1)


def corrupt_codes(
    tokens: Tensor, keep: float | Tensor, codebook_size: int, generator: torch.Generator | None = None
) -> Tensor:
    """Replace each motion code by a random code with probability `1 - keep`.

    Args:
        tokens: int64 `[B, S]`; codes are below `codebook_size`.
        keep: probability that a code stays, a number or `[B, 1]`; 1.0 changes nothing.

    >>> corrupt_codes(torch.tensor([3, 4, 10, 11]), keep=0.0, codebook_size=1)
    tensor([ 3,  4, 10, 11])
    >>> corrupt_codes(torch.tensor([0, 0, 1, 2]), keep=0.0, codebook_size=1)
    tensor([0, 0, 1, 2])
    """
    replaced = _choose(tokens, keep, codebook_size, generator)
    random_codes = torch.randint(codebook_size, tokens.shape, generator=generator)
    return torch.where(replaced, random_codes.to(tokens.device), tokens)


def mix_codes(
    tokens: Tensor, own: Tensor, keep: float | Tensor, codebook_size: int, generator: torch.Generator | None = None
) -> Tensor:
    """Replace each motion code by the model's own code for the same place with probability `1 - keep`.

    Args:
        own: int64, the shape of `tokens`: what the model itself would have written there.

    >>> mix_codes(torch.tensor([3, 4, 10, 11]), torch.tensor([5, 6, 7, 8]), keep=0.0, codebook_size=10)
    tensor([ 5,  6, 10, 11])
    """
    return torch.where(_choose(tokens, keep, codebook_size, generator), own, tokens)


def mask_codes(
    tokens: Tensor, codebook_size: int, mask_token: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Replace a random share of each row's codes by MASK; at least one code of a row that has any.

    The share is `cos(pi / 2 * u)` with a uniform `u`: often large, sometimes small. Iterative decoding passes through
    every share, from all masked to none, and spends most of its steps where much is masked.

    Returns:
        the masked tokens; bool, the places that were masked.

    >>> mask_codes(torch.tensor([[3, 10, 11]]), codebook_size=10, mask_token=12)
    (tensor([[12, 10, 11]]), tensor([[ True, False, False]]))
    """
    is_code = tokens < codebook_size  # [B, S]
    draws = torch.rand(len(tokens), 1, generator=generator)
    order = torch.rand(tokens.shape, generator=generator).to(tokens.device)
    share = (draws * math.pi / 2).cos().to(tokens.device)  # [B, 1]
    wanted = (share * is_code.sum(1, keepdim=True)).ceil().clamp(min=1)  # [B, 1]
    rank = order.masked_fill(~is_code, 2.0).argsort(1).argsort(1)  # [B, S]: codes come before the rest
    masked = (rank < wanted) & is_code
    return tokens.masked_fill(masked, mask_token), masked


def _choose(tokens: Tensor, keep: float | Tensor, codebook_size: int, generator: torch.Generator | None) -> Tensor:
    """Codes that do not stay, bool. Drawn on the CPU, so that a seed means the same on every device."""
    dropped = torch.rand(tokens.shape, generator=generator) >= keep
    return (tokens < codebook_size) & dropped.to(tokens.device)
