"""Changing the input codes while training, so that the model learns to continue after its own mistakes.

While training, the model reads the true codes ("teacher forcing"); while generating, it reads its own. The gap is
called exposure bias. Each function here changes what the model reads and leaves the targets clean:

    corrupt_codes   random codes instead of some       (Zhang et al., "T2M-GPT", arXiv:2301.06052, replace a half;
                                                        the published MotionMillion scripts replace none)
    replaced_codes  the places where scheduled sampling     (arXiv:1506.03099)
                    reads the model's own codes
    mask_codes      a MASK token instead of some       (Chang et al., "MaskGIT", arXiv:2202.04200)

`strategies.py` makes training steps of them. END, PAD and text slots always stay. The published code replaces END
and PAD too, which teaches the model that a motion can continue after its end.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from motionlab.llama.row_draws import RowDraws

KeepRate = Literal["fixed", "batch", "sample"]
Random = torch.Generator | RowDraws | None
"""Where random numbers come from: one generator for all rows, a seed for each row, or torch's global generator."""


def keep_rates(keep: float, per: KeepRate, batch: int, generator: Random = None) -> Tensor:
    """The probability that a code stays, one per row: `[B, 1]`.

    Args:
        keep: "fixed": the probability itself; else the lower end of the range that it is drawn from, up to 1.
        per: "fixed", or a new draw for each "batch" (the published `pkeep=-1` is `keep=0` with this), or for each
            "sample". A model that meets all rates learns to tell how far its input can be trusted. With `RowDraws` a
            "batch" is all that one optimizer step sees, in however many pieces.

    >>> keep_rates(0.5, "fixed", batch=2).tolist()
    [[0.5], [0.5]]
    """
    if per == "fixed":
        return torch.full((batch, 1), keep)
    if isinstance(generator, RowDraws):
        draws = generator.uniform(1, shared=per == "batch").float()
    else:
        draws = torch.rand(1 if per == "batch" else batch, 1, generator=generator)
    return (keep + (1 - keep) * draws).expand(batch, 1)


def corrupt_codes(tokens: Tensor, keep: float | Tensor, codebook_size: int, generator: Random = None) -> Tensor:
    """Replace each motion code by a random code with probability `1 - keep`.

    Args:
        tokens: int64 `[B, S]`; codes are below `codebook_size`.
        keep: probability that a code stays, a number or `[B, 1]`; 1.0 changes nothing.

    >>> corrupt_codes(torch.tensor([3, 4, 10, 11]), keep=0.0, codebook_size=1)
    tensor([ 3,  4, 10, 11])
    >>> corrupt_codes(torch.tensor([0, 0, 1, 2]), keep=0.0, codebook_size=1)
    tensor([0, 0, 1, 2])
    """
    replaced = replaced_codes(tokens, keep, codebook_size, generator)
    if isinstance(generator, RowDraws):
        random_codes = (uniform(tokens.shape, generator) * codebook_size).long()  # float64: every code can be drawn
    else:
        random_codes = torch.randint(codebook_size, tokens.shape, generator=generator)
    return torch.where(replaced, random_codes.to(tokens.device), tokens)


def replaced_codes(tokens: Tensor, keep: float | Tensor, codebook_size: int, generator: Random = None) -> Tensor:
    """The places of the codes that do not stay: bool `[B, S]`, each code with probability `1 - keep`.

    >>> replaced_codes(torch.tensor([[3, 4, 10, 11]]), keep=0.0, codebook_size=10)
    tensor([[ True,  True, False, False]])
    """
    dropped = uniform(tokens.shape, generator) >= keep
    return (tokens < codebook_size) & dropped.to(tokens.device)


def mask_codes(tokens: Tensor, codebook_size: int, mask_token: int, generator: Random = None) -> tuple[Tensor, Tensor]:
    """Replace a random share of each row's codes by MASK; at least one code of a row that has any.

    The share is `cos(pi / 2 * u)` with a uniform `u`: often large, sometimes small. Iterative decoding passes through
    every share, from all masked to none, and spends most of its steps where much is masked.

    Returns:
        the masked tokens; bool, the places that were masked.

    >>> mask_codes(torch.tensor([[3, 10, 11]]), codebook_size=10, mask_token=12)
    (tensor([[12, 10, 11]]), tensor([[ True, False, False]]))
    """
    is_code = tokens < codebook_size  # [B, S]
    wanted = masked_counts(is_code, generator)  # [B, 1]
    order = uniform(tokens.shape, generator).float().to(tokens.device)
    # [B, S]: codes come before the rest; of equal numbers the first place comes first, on every device
    rank = order.masked_fill(~is_code, 2.0).argsort(dim=1, stable=True).argsort(dim=1)
    masked = (rank < wanted) & is_code
    return tokens.masked_fill(masked, mask_token), masked


def masked_counts(is_code: Tensor, generator: Random = None) -> Tensor:
    """How many codes of each row `mask_codes` masks, `[B, 1]`; it is the first that it draws.

    Args:
        is_code: bool `[B, S]`, the places of codes.
    """
    share = (uniform((len(is_code), 1), generator) * math.pi / 2).cos().float().to(is_code.device)  # [B, 1]
    codes = is_code.sum(1, keepdim=True)  # [B, 1]
    return (share * codes).ceil().clamp(min=1).minimum(codes).long()


def uniform(shape: tuple[int, ...], generator: Random) -> Tensor:
    """Numbers in [0, 1), `[B, n]` on the CPU, so that a seed means the same on every device."""
    if isinstance(generator, RowDraws):
        return generator.uniform(shape[1])
    return torch.rand(shape, generator=generator)
