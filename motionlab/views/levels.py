"""The levels of FSQ: the squeezing curve, where it rounds, the grid of codes that follows, and the bits.

Everything is a pure function of the levels, of the name of the bound and of how widely the encoder spreads its
numbers. The shares are exact: those of a normal distribution, cut at the thresholds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.plots.levels import LevelView
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.ifsq import IFSQ
from motionlab.runtime import seeded

BOUNDS = {"fsq": FSQ, "ifsq": IFSQ}
FAR = 50.0  # no threshold is further out: tanh(50) is 1 in float64


def compute_levels(levels: Sequence[int], bound: str = "fsq", spread: float = 1.0) -> LevelView:
    """Everything that the levels fix, for inputs that are normal with mean 0 and the given standard deviation.

    >>> view = compute_levels((5,))
    >>> [round(t, 3) for t in view.thresholds[0]], round(view.bits, 3)
    ([-0.971, -0.255, 0.255, 0.971], 2.322)
    """
    if bound not in BOUNDS:
        raise InputError("bound", found=repr(bound), expected=" or ".join(BOUNDS), fix="Choose one of these.")
    thresholds = level_thresholds(levels, bound)
    shares = [normal_shares(row, spread) for row in thresholds]
    entropy = -sum(p * math.log2(p) for row in shares for p in row if p > 0)
    return LevelView(
        levels=tuple(levels),
        bound=bound,
        spread=spread,
        thresholds=thresholds,
        shares=shares,
        rarest=min(min(row) for row in shares),
        curves=[_curve(level, row, bound) for level, row in zip(levels, thresholds, strict=True)],
        codes=[_codes(level) for level in levels],
        bits=math.log2(math.prod(levels)),
        entropy_bits=entropy,
    )


def squeeze(z: Tensor, levels: Sequence[int], bound: str = "fsq") -> Tensor:
    """The package's own bound, `[..., d]` -> `[..., d]`, before rounding."""
    return _quantizer(tuple(levels), bound).bound(z)


@functools.cache
def _quantizer(levels: tuple[int, ...], bound: str) -> FSQ:
    with seeded(0):  # first weights are drawn, which are not used here: leave the generators as they are
        return BOUNDS[bound](levels, dim=len(levels))


def level_thresholds(levels: Sequence[int], bound: str = "fsq") -> list[list[float]]:
    """For each dimension the inputs at which the rounded number changes, found by halving an interval."""
    found = []
    for level in levels:
        target = torch.arange(level - 1, dtype=torch.float64) - level // 2 + 0.5  # halfway between two levels
        low, high = torch.full_like(target, -FAR), torch.full_like(target, FAR)
        for _ in range(70):
            middle = (low + high) / 2
            below = squeeze(middle[:, None], (level,), bound)[:, 0] < target  # [L - 1]
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        found.append(low.tolist())
    return found


def normal_shares(thresholds: Sequence[float], spread: float) -> list[float]:
    """Share of a normal distribution of this standard deviation between neighbouring thresholds, the ends included."""
    cdf = [0.0, *(0.5 * (1 + math.erf(t / spread / math.sqrt(2))) for t in thresholds), 1.0]
    return [high - low for low, high in zip(cdf, cdf[1:], strict=False)]


def _curve(level: int, thresholds: Sequence[float], bound: str) -> tuple[Tensor, Tensor]:
    """Inputs of one dimension, well beyond its thresholds, and what the bound makes of them: `[601]` each."""
    reach = max(2.6, 1.25 * max(abs(t) for t in thresholds))
    z = torch.linspace(-reach, reach, 601, dtype=torch.float64)
    return z, squeeze(z[:, None], (level,), bound)[:, 0]


def _codes(level: int) -> list[float]:
    """The numbers that the decoder gets for the levels of one dimension, lowest first."""
    return [(k - level // 2) / (level // 2) for k in range(level)]
