"""Rotary positions in pictures: one pair of channels turning, and the score against the distance.

A `RopeView` or a table of turns in, a figure out: `views.rope` computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RopeView:
    """One query and one key, and the effect of their positions. Both are (1, 0) in every pair before turning.

    Fields:
        query, key: positions; pair: which of the `pairs` channel pairs is looked at, from 0, fastest first.
        frequency: radians per position of this pair; `period` is how many positions a full turn takes.
        turns: the turned pair of the query and of the key, as (x, y).
        distances: key - query for every key of the sequence.
        pair_scores: the dot product of this pair at these distances, between -1 and 1.
        scores: the mean of all pairs.
        score: that of `query` and `key`; shifted_score: when both are 37 places further on.
    """

    query: int
    key: int
    pair: int
    pairs: int
    theta: float
    scaling: str
    precision: str
    frequency: float
    turns: tuple[tuple[float, float], tuple[float, float]]
    distances: list[int]
    pair_scores: list[float]
    scores: list[float]
    shifted_score: float

    @property
    def period(self) -> float:
        """Positions until this pair has turned once."""
        return 2 * math.pi / self.frequency

    @property
    def score(self) -> float:
        """The mean over all pairs for this query and key."""
        return self.scores[self.key]


def rope_figure(view: RopeView) -> Figure:
    """Three pictures: the chosen pair as hands of a clock, its score against the distance, and that of all pairs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.3, 1.3))
    draw_circle(left)
    for (x, y), position, color, name in zip(
        view.turns, (view.query, view.key), PALETTE, ("query", "key"), strict=False
    ):
        left.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2})
        left.plot([], [], color=color, label=f"{name} at {position}")
    left.set_title(f"pair {view.pair}: one turn in {view.period:,.0f} positions", fontsize=10)
    left.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, columnspacing=1.0)
    distance = view.key - view.query
    for axes, scores, title in (
        (middle, view.pair_scores, f"score of pair {view.pair}"),
        (right, view.scores, f"mean of all {view.pairs} pairs"),
    ):
        axes.plot(view.distances, scores, color="#57606a", linewidth=1.1)
        axes.plot([distance], [scores[view.key]], "o", color=PALETTE[1], markersize=7)
        axes.axvline(0, color="#8c959f", linewidth=0.7, linestyle=":")
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="distance: key - query", ylim=(-1.08, 1.08))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def table_figure(table: Tensor, title: str = "") -> Figure:
    """The cosines of a table of turns as a picture: positions across, channel pairs upwards, fastest at the bottom.

    Args:
        table: complex `[S, hd/2]`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 2.9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(table.real.T.numpy(), aspect="auto", origin="lower", cmap="RdBu", vmin=-1, vmax=1)
    axes.set(xlabel="position", ylabel="channel pair", title=title)
    figure.colorbar(image, ax=axes, label="cosine")
    return figure


def draw_circle(axes: Axes, radius: float = 1.0) -> None:
    """A dotted circle around the origin: where a turning vector stays."""
    angle = torch.linspace(0, 2 * math.pi, 181)
    axes.plot(radius * angle.cos(), radius * angle.sin(), color="#8c959f", linewidth=0.8, linestyle=":")
    axes.axhline(0, color="#d0d7de", linewidth=0.6, zorder=0)
    axes.axvline(0, color="#d0d7de", linewidth=0.6, zorder=0)
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
