"""Pictures of stage 2: its training, what a code is drawn from, attention over words, and ways of training compared.

Numbers in, a figure out: `views.generation` and `views.decoder_training` compute.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from motionlab.errors import InputError
from motionlab.plots.curves import Line
from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class DistributionView:
    """One place of one generated motion, and the entropies of all places.

    Fields:
        names: the most likely codes at that place, most likely first; END by name.
        before: their probability at temperature 1, without top-p or guidance; after: what was drawn from.
        chosen: which of `names` was drawn, or None when it is not among them.
        entropy_before, entropy_after: bits at every place.
        kept: codes with a probability above 0 at every place.
        place: the place shown.
    """

    names: list[str]
    before: list[float]
    after: list[float]
    chosen: int | None
    entropy_before: list[float]
    entropy_after: list[float]
    kept: list[int]
    place: int


def distribution_figure(view: DistributionView, title: str = "", *, size: tuple[float, float] = (9.0, 3.4)) -> Figure:
    """Return the bars of one place and the entropy along the motion, next to each other if `size` in inches is wide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    wide = size[0] > 2 * size[1]
    figure.suptitle(plain(title), fontsize=10 if wide else 8)
    bars, line = figure.subplots(1, 2, width_ratios=(1.35, 1.0)) if wide else figure.subplots(2, 1)
    at = np.arange(len(view.names))
    bars.bar(at, view.before, width=0.85, color="#d0d7de", label="temperature 1, all codes")
    others = [i for i in at if i != view.chosen]
    bars.bar(others, [view.after[i] for i in others], width=0.45, color=PALETTE[0], label="drawn from")
    if view.chosen is not None:
        bars.bar(view.chosen, view.after[view.chosen], width=0.45, color=PALETTE[1], label="the one drawn")
    bars.set(xlabel=f"code at place {view.place}", ylabel="probability")
    bars.set_xticks(at, view.names, rotation=90, fontsize=7)
    bars.legend(frameon=False)
    places = np.arange(len(view.entropy_after))
    line.plot(places, view.entropy_before, color="#8c959f", linewidth=1.2, label="temperature 1, all codes")
    line.plot(places, view.entropy_after, color=PALETTE[0], linewidth=1.6, label="drawn from")
    line.axvline(view.place, color=PALETTE[1], linewidth=1.0, linestyle=":")
    line.set(xlabel="place in the motion (tokens)", ylabel="entropy (bits)", ylim=(0, None))
    line.legend(frameon=False)
    for axes in (bars, line):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, axis="y")
    return figure


def attention_figure(words: Sequence[str], weights: Any, title: str = "") -> Figure:
    """Return a map of attention: one row per word, one column per motion token, and the means as bars next to it.

    Args:
        weights: `[n, words]`.
    """
    from matplotlib.figure import Figure

    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(words):
        raise InputError("weights", found=f"shape {values.shape}", expected=f"(n, {len(words)})", fix="One per word.")
    height = 1.3 + 0.27 * len(words)
    figure = Figure(figsize=(9.0, height), layout="constrained")
    image, bars = figure.subplots(1, 2, width_ratios=(2.6, 1.0), sharey=True)
    shown = image.imshow(values.T, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest")
    image.set_yticks(range(len(words)), [plain(word) for word in words])
    image.set(xlabel="motion token", title=plain(title))
    figure.colorbar(shown, ax=image, label="attention", pad=0.01)
    bars.barh(range(len(words)), values.mean(0), color=PALETTE[0], height=0.7)
    bars.set(xlabel="mean over the motion")
    bars.tick_params(left=False, labelleft=False)
    for axes in (image, bars):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def words_figure(attention: Mapping[str, float], influence: Mapping[str, float], named: int = 16) -> Figure:
    """Return one dot per word: attention to the right, influence upwards.

    Args:
        named: how many words get their name, of those with most attention and as many of those with most influence.
            The others crowd near zero.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots()
    words = list(influence)
    axes.scatter([attention[word] for word in words], [influence[word] for word in words], s=16, color=PALETTE[0])
    most = [sorted(words, key=values.__getitem__, reverse=True)[:named] for values in (attention, influence)]
    for word in sorted({word for some in most for word in some}):
        axes.annotate(
            plain(word), (attention[word], influence[word]), xytext=(4, 2), textcoords="offset points", fontsize=7
        )
    axes.axhline(0, color="#57606a", linewidth=0.8)
    axes.set(xlabel="attention (mean share of a motion token)", ylabel="influence (nats a token when replaced)")
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def decoder_figure(
    loss: Line, held_out: Line, accuracy: Line, held_out_accuracy: Line, floor: Mapping[str, float] | None = None
) -> Figure:
    """Return loss and accuracy of stage 2, on training batches and on held-out clips.

    Args:
        floor: name -> a loss to compare with, drawn as a dotted line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, train, other in ((left, loss, held_out), (right, accuracy, held_out_accuracy)):
        axes.plot(*train, color=PALETTE[0], linewidth=1.2, label="training batches")
        axes.plot(*other, color=PALETTE[1], marker="o", markersize=4, linewidth=1.4, label="held-out clips")
        axes.set_xlabel("optimizer step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for name, value in (floor or {}).items():
        left.axhline(value, color="#57606a", linewidth=1.0, linestyle=":")
        left.annotate(
            name, (0.98, value), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
            ha="right", fontsize=8, color="#57606a",
        )  # fmt: skip
    left.set(ylabel="loss (nats a token)", ylim=(0, None))
    right.set(ylabel="accuracy of the next token", ylim=(0, None))
    if loss[0] or held_out[0]:
        left.legend(frameon=False)
    return figure


def ways_figure(
    ways: Mapping[str, Mapping[str, Sequence[Line]]], *, columns: int = 2, x_label: str = "updates of the decoder"
) -> Figure:
    """Return one set of axes per quantity, with one colour per way, one thin line per seed.

    Args:
        ways: quantity -> way -> one line per seed.
    """
    from matplotlib.figure import Figure

    rows = -(-len(ways) // columns)
    figure = Figure(figsize=(7.7, 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, (quantity, lines) in zip(grid, ways.items(), strict=False):
        for i, (way, seeds) in enumerate(lines.items()):
            for number, (x, y) in enumerate(seeds):
                label = plain(way) if number == 0 else None
                axes.plot(x, y, color=PALETTE[i % len(PALETTE)], linewidth=1.3, alpha=0.85, label=label)
        axes.set_title("\n".join(textwrap.wrap(plain(quantity), 48)), fontsize=10)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(plain(x_label))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(ways) :]:
        axes.axis("off")
    grid[0].legend(frameon=False, fontsize=8)
    return figure
