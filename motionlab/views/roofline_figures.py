"""Pictures of speed and of sharding: numbers in, a matplotlib figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from motionlab.cost.parameters import MemoryEstimate
    from motionlab.cost.roofline import Machine

PARTS = {"weights": "#1f4e9c", "gradients": "#8250df", "optimizer": "#6f9be8"}  # as in the figures of lesson 04


def roofline_figure(
    machines: Sequence[Machine],
    operations: Mapping[str, tuple[float, float | None]] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Return one roof per machine, and a point per operation.

    Args:
        operations: name -> (operations per byte, measured operations a second, or None for one that was not measured:
            it is drawn on the roof of the first machine).
    """
    operations = operations or {}
    figure, axes = _axes(title, (7.4, 4.2))
    intensities = [intensity for intensity, _ in operations.values()]
    low = min([0.05, *(0.5 * value for value in intensities)])
    high = max([4 * max(machine.ridge for machine in machines), *(2 * value for value in intensities)])
    x = np.geomspace(low, high, 200)
    for i, machine in enumerate(machines):
        label = f"{plain(machine.name)} (ridge {machine.ridge:.0f} FLOP/byte)"
        axes.plot(x, [machine.attainable(value) for value in x], color=PALETTE[i % len(PALETTE)], label=label)
    for name, (intensity, reached) in operations.items():
        y = machines[0].attainable(intensity) if reached is None else reached
        axes.plot([intensity], [y], "o", color="#1f2328", fillstyle="none" if reached is None else "full")
        axes.annotate(plain(name), (intensity, y), textcoords="offset points", xytext=(6, -11), fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="arithmetic intensity (FLOP/byte)", ylabel="FLOP/s")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.margins(y=0.15)
    return figure


def sharding_figure(
    bars: Mapping[str, MemoryEstimate], *, limit: float | None = None, limit_name: str = "", title: str = ""
) -> Figure:
    """Return one stacked bar per entry: bytes in one GPU, and a line for what it has."""
    figure, axes = _axes(title, (7.4, 1.3 + 0.5 * len(bars)))
    names, before = list(bars), np.zeros(len(bars))
    for part, color in PARTS.items():
        sizes = np.array([getattr(estimate, part) for estimate in bars.values()]) / 1e9
        axes.barh(names, sizes, left=before, color=color, label=part)
        before = before + sizes
    line = -1.0 if limit is None else limit / 1e9
    if limit is not None:
        axes.axvline(line, color="#b42318", linestyle="--", linewidth=1.4, label=limit_name or "what there is")
    right = 1.18 * max(before.max(), line)
    for name, total in zip(names, before, strict=True):
        crossed = total <= line < total + 0.1 * right  # a number is that wide: it goes past the line
        place = (line if crossed else total, name)
        axes.annotate(f"{total:,.1f} GB", place, xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set(xlabel="GB in each GPU, without activations")
    axes.set_xlim(0, right)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=4)
    return figure


def _axes(title: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
