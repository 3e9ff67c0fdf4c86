"""One fault under every metric: a bar for each, and the motion before and after. `views.metric_reactions` measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from motionlab.plots.gif import film_strip
from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOMENTS = 7


@dataclass(frozen=True)
class Reaction:
    """A metric of real clips and of the spoiled ones.

    Args:
        reacts: whether the difference is more than the choice of clips explains.
        change: the length of its bar, log2 of spoiled / real, from -3 (an eighth) to 3 (eight times).
    """

    metric: str
    unit: str
    real: float
    spoiled: float
    reacts: bool
    change: float


@dataclass(frozen=True)
class ReactionView:
    """A fault, its strength in words, every metric, and the joints `[T, 22, 3]` of one clip before and after."""

    fault: str
    words: str
    reactions: tuple[Reaction, ...]
    real: Any = field(repr=False)
    spoiled: Any = field(repr=False)

    @property
    def blind(self) -> list[str]:
        """The metrics that do not notice."""
        return [reaction.metric for reaction in self.reactions if not reaction.reacts]


def reaction_figure(view: ReactionView) -> Figure:
    """Return film strips of the clip, real above spoiled, and below them how every metric changes.

    Blue bars are reactions; grey ones are within what the choice of clips explains.
    """
    from matplotlib.figure import Figure as New

    # The names of the metrics are known, and a constrained layout, which measures them, takes a third of the drawing.
    figure = New(figsize=(7.6, 5.2))
    strips, axes = figure.subplots(2, 1, height_ratios=(1.0, 1.7))
    figure.subplots_adjust(left=0.17, right=0.99, top=0.95, bottom=0.05, hspace=0.06)
    pictures = [
        np.asarray(film_strip(joints, _MOMENTS, size=120, color=color))
        for joints, color in ((view.real, PALETTE[0]), (view.spoiled, PALETTE[1]))
    ]
    strips.imshow(np.concatenate(pictures))
    strips.set_axis_off()
    strips.set_title(plain(f"{view.fault}: {view.words} (above: as recorded)"), fontsize=10)
    places = np.arange(len(view.reactions))[::-1]
    colors = [PALETTE[0] if reaction.reacts else "#b8bec6" for reaction in view.reactions]
    axes.barh(places, [reaction.change for reaction in view.reactions], color=colors, height=0.7)
    axes.set_yticks(places, [reaction.metric for reaction in view.reactions], fontsize=8)
    axes.set_xlim(-4.6, 4.6)
    axes.set_xticks([-3, -2, -1, 0, 1, 2, 3], ["1/8", "1/4", "1/2", "as real", "2 x", "4 x", "8 x"], fontsize=8)
    axes.axvline(0, color="#444", linewidth=0.8)
    for place, reaction in zip(places, view.reactions, strict=True):
        end = reaction.change
        text = f"{reaction.real:.3g} → {reaction.spoiled:.3g} {reaction.unit}"
        side = 1 if end >= 0 else -1
        align = "left" if side > 0 else "right"
        axes.text(end + 0.06 * side, place, text, va="center", ha=align, fontsize=7, color="#333")
    for edge in ("top", "right", "left"):
        axes.spines[edge].set_visible(False)
    return figure
