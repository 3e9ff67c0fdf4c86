"""Pictures of the levels of FSQ: the squeezing curve, where it rounds, and the grid of codes that follows.

A `LevelView` in, a figure out: `views.levels` computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LevelView:
    """Levels and what follows from them.

    Fields:
        levels: L_i.
        thresholds: for each dimension the L_i - 1 inputs at which rounding changes, in ascending order.
        shares: for each dimension the share of normal numbers that falls on each level, lowest level first.
        spread: standard deviation of these numbers.
        rarest: share of the level that is hit least, of all dimensions.
        curves: for each dimension inputs z `[601]` and what the bound makes of them `[601]`, before rounding.
        codes: for each dimension the numbers that the decoder gets, lowest level first.
        bits: log2 of the number of codes; `entropy_bits` is what a token carries with these shares.
    """

    levels: tuple[int, ...]
    bound: str
    spread: float
    thresholds: list[list[float]]
    shares: list[list[float]]
    rarest: float
    curves: list[tuple[Tensor, Tensor]]
    codes: list[list[float]]
    bits: float
    entropy_bits: float


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
    level, (z, y) = view.levels[i], view.curves[i]
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
    across, up = view.codes[i], view.codes[j]
    weights = [p * q for p in view.shares[i] for q in view.shares[j]]
    x, y = [x for x in across for _ in up], [y for _ in across for y in up]
    area = 5000 / max(len(across), len(up)) ** 2 / max(weights)
    axes.scatter(x, y, s=[area * weight for weight in weights], color=PALETTE[0], alpha=0.7, linewidth=0)
    axes.scatter(x, y, s=3, color="#24292f")
    name = f"dimensions {i + 1} and {j + 1}" if i != j else f"dimension {i + 1} with itself"
    axes.set(title=f"{len(x)} codes of {name}", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2))
    axes.set(xlabel=f"code, dimension {i + 1}", ylabel=f"code, dimension {j + 1}")
