"""Which token may look at which, painted token by token: one square per pair, a row for each token that looks.

A `MaskView` in, a figure out: `views.attention_masks` applies the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PADDING, _WRONG, _EMPTY = "#c9d1d9", "#cf222e", "#ffffff"


@dataclass(frozen=True)
class Tokens:
    """A sequence before any rule.

    Fields:
        names: the text next to each token; letters of a name say its kind ("txt1", "txt2" are both "txt").
        pad: 1 on real tokens, 0 on padding.
        att: 1 where a new block starts.
    """

    names: tuple[str, ...]
    pad: tuple[int, ...]
    att: tuple[int, ...]


@dataclass(frozen=True)
class MaskView:
    """A rule applied to tokens.

    Fields:
        allow: bool `[N, N]`, True where row i may look at column j.
        blocks: running sum of `att`, the number of each token's block.
        positions: running sum of `pad` minus 1.
        query: number of the row that is looked at, from 0.
        seen: names of the tokens that the query sees.
        reads_padding: how many pairs let a real token look at padding; 0 in a mask that is right.
    """

    rule: str
    tokens: Tokens
    allow: Tensor
    blocks: list[int]
    positions: list[int]
    query: int
    seen: list[str]
    reads_padding: int


def mask_figure(view: MaskView, framed: bool = True) -> Figure:
    """One mask as squares, with the flags of every column above it. Red: a real token reads padding.

    Args:
        framed: a frame around the row of the query.
    """
    from matplotlib.figure import Figure

    count = len(view.tokens.names)
    side = 1.6 + 0.33 * count
    figure = Figure(figsize=(side + 0.9, side + 0.5), layout="constrained")
    _draw_mask(figure.subplots(), view, flags=True, framed=framed)
    return figure


def masks_figure(views: Sequence[MaskView]) -> Figure:
    """Several masks next to each other."""
    from matplotlib.figure import Figure

    side = 1.0 + 0.27 * max(len(view.tokens.names) for view in views)
    figure = Figure(figsize=(side * len(views), side + 0.5), layout="constrained")
    for axes, view in zip(figure.subplots(1, len(views), squeeze=False)[0], views, strict=True):
        _draw_mask(axes, view, flags=False)
    return figure


def _draw_mask(axes: Axes, view: MaskView, flags: bool, framed: bool = True) -> None:
    from matplotlib.patches import Rectangle

    names, count = view.tokens.names, len(view.tokens.names)
    kinds = list(dict.fromkeys(_kind(name) for name, real in zip(names, view.tokens.pad, strict=True) if real))
    for i in range(count):
        for j in range(count):
            color = _EMPTY
            if view.allow[i, j]:
                color = PALETTE[kinds.index(_kind(names[j])) % len(PALETTE)] if view.tokens.pad[j] else _PADDING
                if view.tokens.pad[i] and not view.tokens.pad[j]:
                    color = _WRONG
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=color, edgecolor="#d0d7de", linewidth=0.6))
    if framed:
        row = Rectangle((0, view.query), count, 1, fill=False, edgecolor="#24292f", linewidth=2.2, clip_on=False)
        axes.add_patch(row)
    top = 0.0
    if flags:
        rows = {"block": view.blocks, "att": view.tokens.att, "pad": view.tokens.pad}
        for height, (label, values) in enumerate(rows.items()):
            for j, value in enumerate(values):
                axes.text(j + 0.5, -0.5 - height, str(value), ha="center", va="center", fontsize=8, color="#57606a")
            axes.text(-0.25, -0.5 - height, label, ha="right", va="center", fontsize=8, color="#57606a")
        top = -float(len(rows))
    axes.set(
        xlim=(0, count),
        ylim=(count, top),
        aspect="equal",
        title=view.rule + (": padding is read" if view.reads_padding else ""),
    )
    shown = [plain(name) for name in names]
    middle = [k + 0.5 for k in range(count)]
    axes.set_xticks(middle, shown, rotation=90, fontsize=8)
    axes.set_yticks(middle, shown, fontsize=8)
    axes.set_xlabel("is seen (key)", fontsize=9)
    axes.set_ylabel("looks (query)", fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _kind(name: str) -> str:
    return name.rstrip("0123456789")
