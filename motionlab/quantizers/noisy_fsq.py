"""FSQ that sometimes adds noise instead of rounding while it trains.

Parker et al. 2024, "Scaling Transformers for Low-Bitrate High-Quality Speech Coding" (arXiv 2411.19842, section 3.2):

    code = (bound(z) + u) / (L // 2),  u uniform in -0.5..0.5        for a share `noise` of the tokens
    code = round(bound(z)) / (L // 2)                                for the others, and for all in eval

Noise as wide as one step looks to the decoder like a rounding error, but its gradient is exact, not straight-through:
nothing was rounded. The other tokens keep the decoder used to true codes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.fsq import FSQ


class NoisyFSQ(FSQ):
    """Finite scalar quantizer with noise dropout.

    Args:
        levels: number of levels of each dimension.
        dim: D, width of the vectors that come in and go out.
        noise: share of the tokens that get noise instead of rounding, in training. Indices are the rounded ones always.

    >>> fsq = NoisyFSQ((8, 5), dim=4)
    >>> z = torch.randn(50, 4)
    >>> torch.equal(fsq(z).indices, fsq.eval()(z).indices)
    True
    """

    def __init__(self, levels: Sequence[int], dim: int, *, noise: float = 0.5) -> None:
        super().__init__(levels, dim)
        if not 0 <= noise <= 1:
            raise InputError("noise", found=noise, expected="0 <= noise <= 1", fix="0.5 is the published value.")
        self.noise = noise

    def straighten(self, bounded: Tensor, steps: Tensor) -> Tensor:
        rounded = super().straighten(bounded, steps)
        if not self.training:
            return rounded
        noisy = torch.rand_like(bounded[..., :1]) < self.noise  # [..., 1]: a token is noisy in all its dimensions
        return torch.where(noisy, bounded + torch.rand_like(bounded) - 0.5, rounded)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, noise={self.noise}"
