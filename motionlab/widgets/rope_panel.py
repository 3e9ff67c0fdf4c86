"""The panel of lesson 05: two positions, one channel pair, and the score that attention sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.rope import RopeView, rope_figure
from motionlab.views.rope import HEAD_DIM, LENGTH, PRECISIONS, SHIFT, compute_rope
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASES = (100.0, 1_000.0, 10_000.0, 100_000.0, 500_000.0)
START = {"query": 40, "key": 33, "pair": 4, "theta": 10_000.0, "scaling": "none", "precision": "float32"}


class RopePanel(Panel):
    """Move a query and a key, choose a channel pair, the base, a scaling and the precision of the table."""

    PRESETS: ClassVar = {
        "same distance, later": START | {"query": 240, "key": 233},
        "slowest pair": START | {"pair": 31},
        "base 500,000": START | {"theta": 500_000.0, "pair": 31},
        "linear scaling": START | {"scaling": "linear"},
        "bfloat16": START | {"query": 240, "key": 230, "precision": "bfloat16"},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
        last = LENGTH - 1
        return {
            "query": W.IntSlider(START["query"], 0, last, description="query at", style=style),
            "key": W.IntSlider(START["key"], 0, last, description="key at", style=style),
            "pair": W.IntSlider(START["pair"], 0, HEAD_DIM // 2 - 1, description="channel pair", style=style),
            "theta": W.SelectionSlider(
                options=[(f"{base:,.0f}", base) for base in BASES], value=10_000.0, description="base", style=style
            ),
            "scaling": W.Dropdown(options=["none", "linear", "ntk", "llama3"], description="scaling, 4 x", style=style),
            "precision": W.ToggleButtons(options=list(PRECISIONS), description="table in", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> RopeView:
        return compute_rope(**params)

    def picture(self, result: RopeView) -> Figure:
        return rope_figure(result)

    def describe(self, result: RopeView) -> str:
        return (
            f"distance {result.key - result.query} | pair {result.pair} turns once in ≈{result.period:.3g} positions, "
            f"score ≈{result.pair_scores[result.key]:.3f} | all pairs ≈{result.score:.3f}, "
            f"both {SHIFT} later ≈{result.shifted_score:.3f}"
        )

    def rows(self, result: RopeView) -> Sequence[Sequence[str]]:
        lines: list[Sequence[str]] = [("distance", f"pair {result.pair}", "all pairs")]
        for distance in (0, -1, -2, -4, -8, -16, -32, -64, -128, -256):
            key = result.query + distance
            if key >= 0:
                lines.append((str(distance), f"{result.pair_scores[key]:.3f}", f"{result.scores[key]:.3f}"))
        return lines
