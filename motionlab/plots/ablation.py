"""Figures of an ablation: rows of trained points in, mean and spread over their seeds out.

A row is anything that supports `row["quantizer"]`, `row["mpjpe_mm"]` and so on, such as `jobs.ablations.results.Row`. A
line joins the means over the seeds, its band reaches from the lowest to the highest seed: with three seeds that is all
there is to know, and no formula is needed to read it. Rows are grouped and their mean is taken here only to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from motionlab.plots.curves import _axes
from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = dict[str, dict[Any, list[float]]]  # name of a line -> place on the x axis -> one value per seed

LABELS = {
    "mpjpe_heading_mm": "error, heading aligned (mm)",
    "mpjpe_mm": "error, pelvis aligned (mm)",
    "acceleration_mm": "acceleration error (mm/frame²)",
    "used_fraction": "share of codes used",
    "perplexity": "perplexity (codes)",
    "bits_per_frame": "bits a frame",
    "entropy_bits_per_frame": "bits a frame after entropy coding",
    "codebook_size": "codebook size (nominal)",
    "quantizer": "quantizer",
    "lr": "peak learning rate",
    "steps": "optimizer steps",
}
LOGARITHMIC = {"codebook_size", "perplexity", "lr", "steps"}
# A quantizer looks the same in every figure. Hue: its family. Marker: which of the family.
STYLES = {
    "fsq": ("#1f6feb", "o"), "ifsq": ("#0a3069", "s"), "fsq_noise": ("#54aeff", "^"),
    "vq_ema": ("#d1622b", "o"), "vq_ema_no_reset": ("#9a6700", "X"), "vq": ("#e5a023", "s"),
    "vq_cosine": ("#a40e26", "D"), "vq_rotation": ("#f47067", "^"), "simvq": ("#bf3989", "v"),
    "lfq": ("#1a7f5a", "o"), "bsq": ("#57ab5a", "s"),
    "rvq": ("#8250df", "o"), "rfsq": ("#b083f0", "s"),
}  # fmt: skip
MARKERS = "os^DvXP"


class Record(Protocol):
    """One trained point: the value of any setting or result by its name, and the settings that it names itself."""

    @property
    def point(self) -> dict[str, Any]: ...

    def __getitem__(self, name: str) -> Any: ...


def curves(rows: Iterable[Record], x: str, y: str, lines: Sequence[str] = ("quantizer",)) -> Curves:
    """Group rows into lines: the values of `y` at each `x`, one value per seed.

    Args:
        lines: names whose values tell the lines apart; together they are the name of the line.
    """
    result: Curves = {}
    for row in rows:
        name = " ".join(str(row[key]) if key == "quantizer" else f"{key} {row[key]}" for key in lines)
        result.setdefault(name, {}).setdefault(row[x], []).append(row[y])
    return result


def spread_figure(
    rows: Sequence[Record],
    x: str,
    y: str,
    *,
    lines: Sequence[str] = ("quantizer",),
    title: str = "",
    live: Sequence[Record] = (),
) -> Figure:
    """One result over one setting: the mean over the seeds as a line, lowest to highest seed as a band.

    Args:
        x, y: names of a setting and of a result, or of any two numbers of a row.
        lines: names whose values tell the lines apart.
        live: rows that are drawn as stars, because they were trained differently, as for fewer steps.
    """
    figure, axes = _axes(title, _label(x), _label(y), size=(6.4, 3.8))
    _draw_spread(axes, rows, x, y, lines)
    _draw_live(axes, live, x, y)
    _legend(axes)
    return figure


def kinds_figure(
    rows: Sequence[Record],
    y: str,
    *,
    lines: Sequence[str] = ("quantizer",),
    title: str = "",
    live: Sequence[Record] = (),
) -> Figure:
    """One result of many quantizers: a dot per seed, a bar for the mean, the lowest mean on top."""
    groups = {name: next(iter(places.values())) for name, places in curves(rows, "quantizer", y, lines).items()}
    order = sorted(groups, key=lambda name: -_mean(groups[name]))
    from motionlab.plots.log_axis import log_scale

    figure, axes = _axes(title, _label(y), "", size=(6.4, 0.9 + 0.27 * len(order)))
    for place, name in enumerate(order):
        colour, _ = _style(name, place)
        axes.plot([_mean(groups[name])] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2)
        axes.scatter(groups[name], [place] * len(groups[name]), s=18, color=colour, alpha=0.75, linewidth=0)
    for row in live:
        if row["quantizer"] in order:
            axes.scatter([row[y]], [order.index(row["quantizer"])], marker="*", s=110, color="#24292f", zorder=4)
    axes.set_yticks(range(len(order)), order)
    axes.grid(visible=False, axis="y")
    if y in LOGARITHMIC:
        log_scale(axes, "x")
    return figure


def rate_distortion_figure(
    rows: Sequence[Record],
    *,
    rate: str = "entropy_bits_per_frame",
    distortion: str = "mpjpe_heading_mm",
    lines: Sequence[str] = ("quantizer",),
    title: str = "",
    live: Sequence[Record] = (),
) -> Figure:
    """Error over bits: lower and further left is better. A cross reaches over the seeds; a line joins the sizes."""
    figure, axes = _axes(title, _label(rate), _label(distortion), size=(6.4, 3.8))
    _draw_rate_distortion(axes, rows, rate, distortion, lines)
    _draw_live(axes, live, rate, distortion)
    _legend(axes)
    return figure


def overview_figure(rows: Sequence[Record]) -> Figure:
    """Everything at a glance: seven small figures over the setting that has the most values, and a legend."""
    from matplotlib.figure import Figure

    x, lines = choose_axes(rows)
    figure = Figure(figsize=(13.6, 6.4), layout="constrained")
    places = figure.subplots(2, 4).ravel()
    shown = (
        "mpjpe_heading_mm", "mpjpe_mm", "acceleration_mm", "used_fraction", "perplexity", "entropy_bits_per_frame",
    )  # fmt: skip
    for axes, y in zip(places, shown, strict=False):
        _draw_spread(axes, rows, x, y, lines)
        dress(axes, _label(x), _label(y))
    _draw_rate_distortion(places[6], rows, "entropy_bits_per_frame", "mpjpe_heading_mm", lines)
    dress(places[6], _label("entropy_bits_per_frame"), _label("mpjpe_heading_mm"))
    handles, names = places[0].get_legend_handles_labels()
    places[7].legend(handles, names, loc="center", frameon=False, ncols=1 + (len(names) > 14))
    places[7].set_axis_off()
    return figure


def choose_axes(rows: Sequence[Record]) -> tuple[str, tuple[str, ...]]:
    """Which setting goes to the x axis (numbers first, the one with most values), and which ones tell lines apart."""
    names = dict.fromkeys(name for row in rows for name in row.point if name != "seed")
    values = {name: {str(row[name]) for row in rows} for name in names}
    varied = [name for name in names if len(values[name]) > 1]
    numeric = [name for name in varied if all(isinstance(row[name], (int, float)) for row in rows)]
    x = max(numeric, key=lambda name: len(values[name]), default="quantizer")
    lines = tuple(name for name in varied if name != x)
    return x, lines or ("quantizer",)


def _draw_spread(axes: Axes, rows: Sequence[Record], x: str, y: str, lines: Sequence[str]) -> None:
    groups = curves(rows, x, y, lines)
    numbers = all(isinstance(place, (int, float)) for places in groups.values() for place in places)
    ticks = [] if numbers else list(dict.fromkeys(str(row[x]) for row in rows))
    for i, (name, places) in enumerate(groups.items()):
        colour, marker = _style(name, i)
        at = sorted(places) if numbers else list(places)
        where = at if numbers else [ticks.index(str(place)) for place in at]
        join = "-" if numbers else ""
        mean = [_mean(places[place]) for place in at]
        axes.plot(where, mean, join, marker=marker, markersize=5, color=colour, linewidth=1.6, label=plain(name))
        low, high = [min(places[place]) for place in at], [max(places[place]) for place in at]
        if numbers and len(at) > 1:
            axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            axes.vlines(where, low, high, color=colour, linewidth=1.6, alpha=0.6)
    if ticks:
        axes.set_xticks(range(len(ticks)), ticks, rotation=40, ha="right")
    _scales(axes, x, y)


def _draw_rate_distortion(axes: Axes, rows: Sequence[Record], rate: str, distortion: str, lines: Sequence[str]) -> None:
    bits = curves(rows, "codebook_size", rate, lines)
    errors = curves(rows, "codebook_size", distortion, lines)
    for i, name in enumerate(bits):
        colour, marker = _style(name, i)
        sizes = sorted(bits[name])
        x, y = [_mean(bits[name][size]) for size in sizes], [_mean(errors[name][size]) for size in sizes]
        axes.plot(x, y, marker=marker, markersize=5, color=colour, linewidth=1.2, label=plain(name))
        for size, right, up in zip(sizes, x, y, strict=True):
            axes.hlines(up, min(bits[name][size]), max(bits[name][size]), color=colour, linewidth=1.6, alpha=0.6)
            axes.vlines(right, min(errors[name][size]), max(errors[name][size]), color=colour, linewidth=1.6, alpha=0.6)


def _draw_live(axes: Axes, live: Sequence[Record], x: str, y: str) -> None:
    for row in live:
        name = f"{row['quantizer']}, {row['steps']} steps, here"
        colour, _ = _style(row["quantizer"], 0)
        axes.plot([row[x]], [row[y]], "*", markersize=13, color=colour, markeredgecolor="#24292f", label=plain(name))


def _scales(axes: Axes, x: str, y: str) -> None:
    from motionlab.plots.log_axis import log_scale

    if x in LOGARITHMIC:
        log_scale(axes, "x", base=2 if x == "codebook_size" else 10)
    if x == "codebook_size":
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.tick_params(axis="x", labelsize=8)
    if y in LOGARITHMIC:
        log_scale(axes, "y")
    if y == "used_fraction":
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_formatter("{x:.0%}")


def dress(axes: Axes, x_label: str, y_label: str) -> None:
    """Labels, a light grid, and no frame at the top and on the right."""
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    if len(unique) > 1:
        axes.legend(list(unique.values()), list(unique), frameon=False, fontsize=8, loc="center left",
                    bbox_to_anchor=(1.0, 0.5))  # fmt: skip


def _style(name: str, number: int) -> tuple[str, str]:
    """Colour and marker of a line."""
    return STYLES.get(name) or (PALETTE[number % len(PALETTE)], MARKERS[number // len(PALETTE) % len(MARKERS)])


def _label(name: str) -> str:
    return LABELS.get(name, plain(name.replace("_", " ")))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
