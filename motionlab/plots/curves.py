"""Curves and bars about training and codebooks: numbers in, a matplotlib figure out, nothing else.

The figures are made without pyplot: no window, no global state, nothing to close.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = tuple[Sequence[float], Sequence[float]]  # x values, y values


def line_figure(
    lines: Mapping[str, Line],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
    markers: bool = False,
) -> Figure:
    """Return one set of axes with a named line for each entry of `lines`.

    >>> figure = line_figure({"FSQ": ([1, 2], [0.4, 0.2])}, x_label="step", y_label="loss")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['FSQ']
    """
    from motionlab.plots.log_axis import log_scale

    figure, axes = _axes(title, x_label, y_label)
    for i, (name, (x, y)) in enumerate(lines.items()):
        marker = "o" if markers or len(x) == 1 else None  # a line through one point is not seen
        axes.plot(x, y, label=plain(name), color=PALETTE[i % len(PALETTE)], marker=marker, linewidth=1.6)
    if log_x:
        log_scale(axes, "x", base=2)
    if log_y:
        log_scale(axes, "y")
    if len(lines) > 1:
        axes.legend(frameon=False)
    return figure


def with_words(figure: Figure, words: str) -> Figure:
    """Return an empty figure with words in its first axes that say why.

    Numbers along axes without curves would mean nothing, so they go.
    """
    for axes in figure.axes:
        axes.tick_params(labelbottom=False, labelleft=False, labelright=False)
        axes.get_yaxis().get_offset_text().set_visible(False)
    first = figure.axes[0]
    first.text(0.5, 0.5, words, transform=first.transAxes, ha="center", va="center", fontsize=11, color="#24292f")
    return figure


def loss_figure(losses: Mapping[str, Line], *, title: str = "", y_label: str = "loss") -> Figure:
    """Return loss over optimizer steps, logarithmic when every loss is positive."""
    positive = all(len(y) > 0 and min(y) > 0 for _, y in losses.values())
    return line_figure(losses, x_label="optimizer step", y_label=y_label, title=title, log_y=positive)


def learning_rate_figure(steps: Sequence[float], rates: Sequence[float], *, title: str = "") -> Figure:
    """Return the learning rate over optimizer steps."""
    return line_figure({"lr": (steps, rates)}, x_label="optimizer step", y_label="learning rate", title=title)


def usage_figure(histograms: Mapping[str, Any], *, title: str = "") -> Figure:
    """Return how often each code was used, most frequent first, one line per quantizer.

    A flat line is a codebook in full use; a line that falls to nothing early is a collapsed one. Codes never used
    have no place on the logarithmic axis, so the legend counts them. The counts are sorted here, for the drawing.

    Args:
        histograms: name -> counts [codebook_size].
    """
    from motionlab.plots.log_axis import log_scale

    figure, axes = _axes(title, "code, most used first (% of the codebook)", "share of all tokens")
    for i, (name, counts) in enumerate(histograms.items()):
        ordered = np.sort(np.asarray(counts, dtype=np.float64))[::-1]
        used = int((ordered > 0).sum())
        share = ordered[:used] / max(ordered.sum(), 1.0)
        position = 100 * (np.arange(used) + 1) / len(ordered)
        label = f"{plain(name)}: {used:,} of {len(ordered):,} used"
        axes.plot(position, share, label=label, color=PALETTE[i % len(PALETTE)], linewidth=1.6)
    log_scale(axes, "y")
    axes.set_xlim(0, 100)
    axes.legend(frameon=False)
    return figure


def stacked_bars(parts: Mapping[str, Mapping[str, float]], *, title: str = "", x_label: str = "") -> Figure:
    """Return a level bar for each part, from top to bottom; kinds of one part stand end to end.

    >>> figure = stacked_bars({"trained": {"head": 5}, "frozen": {"eyes": 9, "head": 1}})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['head', 'eyes']
    """
    names = list(dict.fromkeys(name for values in parts.values() for name in values))
    figure, axes = _axes(title, x_label, "", size=(6.0, 1.0 + 0.24 * len(names)))
    ends = np.zeros(len(names))
    for i, (kind, values) in enumerate(parts.items()):
        sizes = np.array([values.get(name, 0.0) for name in names], dtype=np.float64)
        axes.barh(range(len(names)), sizes, left=ends, label=plain(kind), color=PALETTE[i % len(PALETTE)])
        ends += sizes
    axes.set_yticks(range(len(names)), [plain(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05 * max(*ends, 1e-9))
    if len(parts) > 1:
        axes.legend(frameon=False)
    return figure


def figure_to_svg(figure: Figure) -> str:
    """Return the figure as an `<svg>` element to put into HTML. The same figure gives the same text."""
    import matplotlib

    buffer = io.StringIO()
    # A fixed salt makes the ids inside the picture repeatable, and no date is written.
    with matplotlib.rc_context({"svg.hashsalt": "motionlab", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    forget_glyphs()
    text = buffer.getvalue()
    return text[text.index("<svg") :]  # without the XML heading, which has no place inside HTML


def figure_to_png(figure: Figure, dpi: int = 120) -> bytes:
    """Return the figure as PNG bytes; 120 dots an inch, so that it stays sharp where a page makes it smaller."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    forget_glyphs()
    return buffer.getvalue()


def forget_glyphs() -> None:
    """Let go of matplotlib's open fonts, which it opens again when the next figure is drawn.

    A font keeps every letter that was ever laid out in mathematical text, such as the powers of ten that matplotlib
    itself writes along an axis, and matplotlib keeps the font: a process that draws a figure an hour would grow for
    ever. matplotlib empties this cache itself after a fork.
    """
    from matplotlib import font_manager

    font_manager._get_font.cache_clear()  # type: ignore[attr-defined]


def _axes(title: str, x_label: str, y_label: str, size: tuple[float, float] = (6.0, 3.4)) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set(title=plain(title), xlabel=plain(x_label), ylabel=plain(y_label))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
