"""Pictures of parameters and memory: numbers in, a matplotlib figure out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from motionlab.cost.settings import MIB
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from motionlab.cost.allocations import MemoryRecord
    from motionlab.cost.parameters import ParameterRow
    from motionlab.cost.tokenizer_step import StepMemory

COLORS = {
    "weights": "#1f4e9c", "optimizer state": "#6f9be8", "gradients": "#8250df", "batch": "#8c959f",
    "activations": "#d1622b", "work": "#e9b872", "one-hot matrix": "#b42318",
}  # fmt: skip
PHASE_TINTS = {"forward": "#eef4ff", "backward": "#fff4ec", "optimizer": "#eefaf3"}
HEADROOM = 1.3  # room above the peak for its label and the names of the phases


def parameter_parts(rows: Sequence[ParameterRow]) -> dict[str, int]:
    """Parameters by layer, in order; a residual block counts as one layer, and so do the two maps of a quantizer.

    It adds up the rows that share a bar, and serves nothing but the drawing.

    >>> from motionlab.cost.parameters import ParameterRow
    >>> parameter_parts([ParameterRow("encoder.model.1.weight", (4, 2, 3)), ParameterRow("encoder.model.1.bias", (4,))])
    {'encoder.model.1': 28}
    """
    parts: dict[str, int] = {}
    for row in rows:
        name = re.sub(r"^vqvae\.|\.(weight|bias)$", "", row.name)
        name = re.sub(r"\.(norm|conv)\d$", "", name)  # inside a residual block
        name = "quantizer" if name.startswith("quantizer") else name
        parts[name] = parts.get(name, 0) + row.count
    return parts


def parameter_figure(rows: Sequence[ParameterRow], *, title: str = "") -> Figure:
    """Return one bar per layer, from the input down to the output."""
    parts = parameter_parts(rows)
    colors = {"encoder": PALETTE[0], "quantizer": PALETTE[2], "decoder": PALETTE[1]}
    order = [part for part in ("encoder", "quantizer", "decoder") if any(name.startswith(part) for name in parts)]
    names = sorted(parts, key=lambda name: order.index(name.split(".")[0]))
    figure, axes = _axes(title, "parameters", size=(7.0, 0.6 + 0.24 * len(names)))
    bars = axes.barh(names, [parts[name] for name in names], color=[colors[name.split(".")[0]] for name in names])
    axes.bar_label(bars, labels=[f"{parts[name]:,}" for name in names], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.17)
    axes.tick_params(axis="y", labelsize=8)
    axes.ticklabel_format(axis="x", style="plain")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M" if value else "0")
    return figure


def peak_figure(
    bars: Mapping[str, Mapping[str, int]],
    *,
    measured: Mapping[str, int] | None = None,
    limit: int | None = None,
    title: str = "",
) -> Figure:
    """Return one stacked bar per entry: the parts of memory at its peak.

    Args:
        bars: name -> part -> bytes, as `StepMemory.parts()` gives them.
        measured: name -> bytes, shown as a mark on the bar.
        limit: available bytes, shown as a line.
    """
    figure, axes = _axes(title, "MiB", size=(7.0, 1.25 + 0.42 * len(bars)))
    for part, color in COLORS.items():
        values = np.array([sizes.get(part, 0) for sizes in bars.values()]) / MIB
        if values.any():
            before = np.array([_before(sizes, part) for sizes in bars.values()]) / MIB
            axes.barh(list(bars), values, left=before, color=color, label=part, height=0.62)
    if measured:
        sizes = [size / MIB for size in measured.values()]
        axes.scatter(sizes, list(measured), marker="d", color="black", s=36, zorder=3, label="measured")
    if limit is not None:
        axes.axvline(limit / MIB, color="black", linestyle="--", linewidth=1.4, label="memory there is", zorder=4)
    axes.invert_yaxis()
    axes.margins(x=0.04)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def walk_figure(
    memory: StepMemory,
    record: MemoryRecord | None = None,
    *,
    measured: int | None = None,
    limit: int | None = None,
    title: str = "",
) -> Figure:
    """Return the walk of a training step as stacked areas; with a record, the measured one below it.

    The upper picture shows one layer per place: forward, backward, then the optimizer. The lower one shows one
    allocation or release of some size, so time plays no role in it and a slow machine draws the same picture.

    Args:
        record: what `measure_step` gave.
        measured: bytes, shown as a mark at the peak.
        limit: available bytes, shown as a line unless it is far above the peak.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.2 if record is None else 5.4), layout="constrained")
    panels = figure.subplots(1 if record is None else 2, 1, squeeze=False)[:, 0]
    _draw_walk(panels[0], memory, measured, limit)
    panels[0].set_title(title)
    if record is not None:
        _draw_record(panels[1], record)
        top = HEADROOM * max(memory.peak, record.peak) / MIB
        for axes in panels:
            axes.set_ylim(0, top)
    return figure


def _draw_walk(axes: Axes, memory: StepMemory, measured: int | None, limit: int | None) -> None:
    count = len(memory.moments)
    always = {"weights": memory.weights, "optimizer state": memory.optimizer, "batch": memory.batch}
    parts = {name: np.full(count, size, dtype=np.float64) for name, size in always.items()}
    for name, field in (
        ("activations", "activations"), ("gradients", "gradients"), ("work", "work"), ("one-hot matrix", "matrix"),
    ):  # fmt: skip
        parts[name] = np.array([getattr(moment, field) for moment in memory.moments], dtype=np.float64)
    shown = {name: values for name, values in parts.items() if values.any()}
    colors = [COLORS[name] for name in shown]
    axes.stackplot(np.arange(count), *(v / MIB for v in shown.values()), labels=list(shown), colors=colors)
    _tint(axes, [moment.phase for moment in memory.moments])
    place = memory.moments.index(memory.top)
    if measured is not None:
        axes.scatter([place], [measured / MIB], marker="d", color="black", s=40, zorder=3, label="measured peak")
    axes.annotate(
        f"peak {memory.peak / MIB:,.0f} MiB",
        (place, memory.peak / MIB), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=9,
    )  # fmt: skip
    highest = memory.peak
    if limit is not None and limit < 2 * memory.peak:
        highest = max(highest, limit)
        axes.axhline(limit / MIB, color="black", linestyle="--", linewidth=1.2, label="memory there is")
    axes.set(xlabel="layer, in the order of the step", ylabel="MiB", xlim=(-0.5, count - 0.5))
    axes.set_ylim(0, HEADROOM * highest / MIB)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_record(axes: Axes, record: MemoryRecord) -> None:
    small = record.peak / 1000  # thousands of allocations of a few bytes would be most of the picture
    held: list[int] = []
    phases: list[str] = []
    for phase, (first, last) in record.phases.items():
        for size in record.held[first : last + 1]:
            if not held or abs(size - held[-1]) > small:
                held.append(size)
                phases.append(phase)
    place = max(range(len(held)), key=held.__getitem__)
    top = held[place] / MIB
    axes.fill_between(range(len(held)), [size / MIB for size in held], color="#c9d1d9", linewidth=0)
    axes.plot([size / MIB for size in held], color="black", linewidth=0.8)
    _tint(axes, phases)
    axes.annotate(
        f"measured peak {top:,.0f} MiB", (place, top),
        xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9,
    )  # fmt: skip
    axes.set(xlabel="allocation or release, in order", ylabel="MiB", xlim=(0, len(held) - 1))
    axes.spines[["top", "right"]].set_visible(False)


def _tint(axes: Axes, phases: Sequence[str]) -> None:
    """Colour the background by phase, and write its name at the top."""
    for name, color in PHASE_TINTS.items():
        places = [place for place, phase in enumerate(phases) if phase == name]
        if not places:
            continue
        axes.axvspan(places[0] - 0.5, places[-1] + 0.5, color=color, zorder=-1, linewidth=0)
        if len(places) > 0.05 * len(phases):
            middle = (places[0] + places[-1]) / 2
            axes.text(middle, 0.97, name, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=8)


def _before(sizes: Mapping[str, int], part: str) -> int:
    names = list(COLORS)
    return sum(sizes.get(name, 0) for name in names[: names.index(part)])


def _axes(title: str, x_label: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x_label)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
