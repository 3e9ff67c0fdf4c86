"""The panel of lesson 13: spoil real motions, and see which metric notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.metric_reactions import ReactionView, reaction_figure
from motionlab.views.metric_reactions import FAULTS, Bench, compute_reactions
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

START = {"fault": "noise", "strength": 2, "clip": 0}


class ReactionPanel(Panel):
    """Choose a fault and its strength; every metric is measured again on all clips of the bench.

    Args:
        bench: real clips, and those who judge.
    """

    PRESETS: ClassVar = {
        "nothing": START | {"fault": "nothing"},
        "strong noise": START | {"fault": "noise", "strength": 2},
        "held frames": START | {"fault": "hold", "strength": 1},
        "gliding": START | {"fault": "slide", "strength": 2},
        "random angles": START | {"fault": "random angles"},
        "wrong order": START | {"fault": "wrong order"},
    }

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "90px"}
        return {
            "fault": W.Dropdown(options=list(FAULTS), value=START["fault"], description="fault", style=style),
            "strength": W.IntSlider(START["strength"], 0, 3, description="strength", style=style),
            "clip": W.IntSlider(0, 0, len(self.bench.clips) - 1, description="clip drawn", style=style),
        }

    def compute(self, **params: Any) -> ReactionView:  # type: ignore[override]  # not static: it knows the bench
        return compute_reactions(self.bench, **params)

    def picture(self, result: ReactionView) -> Figure:
        return reaction_figure(result)

    def describe(self, result: ReactionView) -> str:
        seen = [reaction for reaction in result.reactions if reaction.reacts]
        return f"{self.said(result.words)}: ≈{len(seen)} of {len(result.reactions)} metrics react"

    def rows(self, result: ReactionView) -> Sequence[Sequence[str]]:
        lines: list[Sequence[str]] = [("metric", "unit", "real", "spoiled", "reacts")]
        for reaction in result.reactions:
            values = (f"≈{reaction.real:.3g}", f"≈{reaction.spoiled:.3g}")
            lines.append((reaction.metric, reaction.unit, *values, "yes" if reaction.reacts else "no"))
        return lines
