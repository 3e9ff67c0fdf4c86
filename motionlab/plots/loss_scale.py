"""The life of a loss scale drawn: it grows, it hits the ceiling, a step is skipped, it falls back.

A `ScaleLife` in, a figure out: `views.loss_scale` lets a scale live.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Gradients:
    """The scales that the gradients of each training step allow.

    Fields:
        name: where they are from.
        exponents: E, powers of two that were tried as scale, in ascending order.
        ceiling: `[S]`, for each step the log2 of the largest scale at which every gradient is finite.
        lost: `[S][E]`, the share of gradient numbers that become 0 at each of these scales.
    """

    name: str
    exponents: tuple[int, ...]
    ceiling: tuple[float, ...]
    lost: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ScaleLife:
    """A scale over the steps of a training. `log2_scale`, `skipped` and `lost` are `[S]`; `grown` counts doublings."""

    gradients: Gradients
    log2_scale: tuple[float, ...]
    skipped: tuple[bool, ...]
    lost: tuple[float, ...]
    grown: int


def life_figure(life: ScaleLife) -> Figure:
    """Above the scale and its ceiling with the skipped steps; below what share of the gradient numbers was lost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    steps = range(len(life.log2_scale))
    top.plot(steps, life.gradients.ceiling, color="#8c959f", linewidth=1.2, label="ceiling: above it a gradient is inf")
    top.step(steps, life.log2_scale, where="mid", color=PALETTE[0], linewidth=1.8, label="scale")
    bad = [step for step in steps if life.skipped[step]]
    top.plot(bad, [life.log2_scale[step] for step in bad], "x", color="#cf222e", markersize=8, label="skipped step")
    top.set(ylabel="log2 of the scale", title=f"gradients: {life.gradients.name}")
    top.legend(frameon=False, fontsize=8, loc="best")
    kept = [math.nan if life.skipped[step] else 100 * life.lost[step] for step in steps]
    bottom.plot(steps, kept, color=PALETTE[1], linewidth=1.6)
    bottom.set(xlabel="step", ylabel="% become 0")
    bottom.set_ylim(0, max(1.0, 1.15 * max((value for value in kept if value == value), default=1.0)))
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
