"""What the levels of FSQ mean: the squeezing curve, where it rounds, the grid of codes that follows, and the bits.

Everything is a pure function of the levels, of the name of the bound and of how widely the encoder spreads its
numbers. The shares are exact: those of a normal distribution, cut at the thresholds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.plots.player import PALETTE
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.ifsq import IFSQ
from motionlab.runtime import seeded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BOUNDS = {"fsq": FSQ, "ifsq": IFSQ}
FAR = 50.0  # no threshold lies further out: tanh(50) is 1 in float64


@dataclass(frozen=True)
class LevelView:
    """Levels and what follows from them.

    Fields:
        levels: L_i.
        thresholds: for each dimension the L_i - 1 inputs at which rounding changes, in ascending order.
        shares: for each dimension the share of normal numbers that falls on each level, lowest level first.
        spread: standard deviation of these numbers.
        bits: log2 of the number of codes; `entropy_bits` is what a token carries with these shares.
    """

    levels: tuple[int, ...]
    bound: str
    spread: float
    thresholds: list[list[float]]
    shares: list[list[float]]
    bits: float
    entropy_bits: float


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
    return LevelView(tuple(levels), bound, spread, thresholds, shares, math.log2(math.prod(levels)), entropy)


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


def levels_figure(view: LevelView, dimension: int = 1) -> Figure:
    """Three pictures: the curve and its steps, how often each level is hit, and the codes of two dimensions.

    Args:
        dimension: whose curve is drawn, from 1; the grid shows it and the next one (the last one and the first).
    """
    from matplotlib.figure import Figure

    first, second = dimension - 1, dimension % len(view.levels)
    figure = Figure(figsize=(10.4, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _draw_curve(left, view, first)
    _draw_shares(middle, view, first)
    _draw_grid(right, view, first, second)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_curve(axes: Axes, view: LevelView, i: int) -> None:
    level, reach = view.levels[i], max(2.6, 1.25 * max(abs(t) for t in view.thresholds[i]))
    z = torch.linspace(-reach, reach, 601, dtype=torch.float64)
    y = squeeze(z[:, None], (level,), view.bound)[:, 0]
    for threshold in view.thresholds[i]:
        axes.axvline(threshold, color="#8c959f", linewidth=0.7, linestyle=":")
    axes.plot(z, y, color=PALETTE[0], linewidth=1.6, label="squeezed")
    axes.step(z, y.round(), where="mid", color=PALETTE[1], linewidth=1.6, label="rounded")
    axes.set(
        title=f"dimension {i + 1}: {level} levels, {view.bound}", xlabel="z, what the encoder gives", ylabel="level"
    )
    axes.set_yticks(range(-(level // 2), (level + 1) // 2))
    axes.legend(frameon=False, loc="upper left", fontsize=8)


def _draw_shares(axes: Axes, view: LevelView, i: int) -> None:
    from matplotlib.ticker import PercentFormatter

    level = view.levels[i]
    place = [k - level // 2 for k in range(level)]
    axes.bar(place, view.shares[i], color=PALETTE[0], width=0.75)
    axes.axhline(1 / level, color=PALETTE[1], linewidth=1.4, linestyle="--", label="all equal")
    axes.legend(frameon=False, loc="upper right", fontsize=8)
    axes.set(title=f"z normal, spread {view.spread:g}", xlabel="level", ylabel="share of all numbers")
    axes.set_ylim(0, max(max(view.shares[i]), 1 / level) * 1.25)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def _draw_grid(axes: Axes, view: LevelView, i: int, j: int) -> None:
    """The codes of two dimensions, as the decoder gets them; the area of a dot is how often the pair occurs."""
    across, up = _codes(view.levels[i]), _codes(view.levels[j])
    weights = [p * q for p in view.shares[i] for q in view.shares[j]]
    x, y = [x for x in across for _ in up], [y for _ in across for y in up]
    area = 5000 / max(len(across), len(up)) ** 2 / max(weights)
    axes.scatter(x, y, s=[area * weight for weight in weights], color=PALETTE[0], alpha=0.7, linewidth=0)
    axes.scatter(x, y, s=3, color="#24292f")
    name = f"dimensions {i + 1} and {j + 1}" if i != j else f"dimension {i + 1} with itself"
    axes.set(title=f"{len(x)} codes of {name}", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
    axes.set(xlabel=f"code, dimension {i + 1}", ylabel=f"code, dimension {j + 1}")


def _codes(level: int) -> list[float]:
    """The numbers that the decoder gets for the levels of one dimension, lowest first."""
    return [(k - level // 2) / (level // 2) for k in range(level)]
