"""Corrupting the input codes while training, so that the model learns to go on after its own mistakes.

While training, the model reads the true codes ("teacher forcing"); while generating, it reads its own. Replacing some
input codes by random ones, with the targets left clean, closes a part of that gap. Zhang et al., "T2M-GPT",
arXiv:2301.06052, keep half of the codes; the published MotionMillion scripts keep all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def corrupt_codes(tokens: Tensor, keep: float, codebook_size: int, generator: torch.Generator | None = None) -> Tensor:
    """Replace each motion code by a random code with probability `1 - keep`; END and PAD stay.

    The published code replaces END and PAD too, which teaches the model that a motion can go on after its end.

    Args:
        tokens: int64, any shape; codes are below `codebook_size`.
        keep: probability that a code stays; 1.0 changes nothing.

    >>> corrupt_codes(torch.tensor([3, 4, 10, 11]), keep=0.0, codebook_size=1)
    tensor([ 3,  4, 10, 11])
    >>> corrupt_codes(torch.tensor([0, 0, 1, 2]), keep=0.0, codebook_size=1)
    tensor([0, 0, 1, 2])
    """
    is_code = tokens < codebook_size
    drop = torch.rand(tokens.shape, generator=generator) >= keep
    random_codes = torch.randint(codebook_size, tokens.shape, generator=generator)
    return torch.where(is_code & drop.to(tokens.device), random_codes.to(tokens.device), tokens)
