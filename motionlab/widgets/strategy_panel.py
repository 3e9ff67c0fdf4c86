"""The panel of lesson 08: what the model reads under each training strategy, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.strategy_view import STATES, Painted, painted_figure
from motionlab.views.strategy_view import KINDS, paint
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class StrategyPanel(Panel):
    """Choose a strategy and how many codes are kept; see what is read, and what must be predicted from it."""

    PRESETS: ClassVar = {
        "MotionMillion's scripts": {"strategy": "random replacement", "keep": 1.0, "per": "fixed"},
        "T2M-GPT": {"strategy": "random replacement", "keep": 0.5, "per": "fixed"},
        "pkeep = -1": {"strategy": "random replacement", "keep": 0.0, "per": "batch"},
        "a rate for each clip": {"strategy": "random replacement", "keep": 0.0, "per": "sample"},
        "own codes": {"strategy": "scheduled sampling", "keep": 0.5, "per": "fixed"},
        "MaskGIT": {"strategy": "masked modelling"},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "90px"}
        return {
            "strategy": W.Dropdown(
                options=list(KINDS), value="random replacement", description="strategy", style=style
            ),
            "keep": W.FloatSlider(0.5, min=0.0, max=1.0, step=0.05, description="keep", style=style),
            "per": W.ToggleButtons(options=["fixed", "batch", "sample"], description="rate", style=style),
            "seed": W.IntSlider(0, 0, 20, description="seed", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> Painted:
        return paint(params["strategy"], params["keep"], params["per"], params["seed"])

    def picture(self, result: Painted) -> Figure:
        return painted_figure(result)

    def describe(self, result: Painted) -> str:
        counted = ((state, result.count(state)) for state in ("kept", "replaced", "own", "MASK"))
        parts = [self.said(f"{number} {state}") for state, number in counted if number]
        return f"{result.n_codes} codes: {', '.join(parts)} | the loss counts {result.n_predicted} places"

    def rows(self, result: Painted) -> Sequence[Sequence[str]]:
        shown = STATES[:-1]
        lines: list[Sequence[str]] = [("clip", "keep", *shown)]
        for row, rate in enumerate(result.rates):
            counts = [int((result.states[row] == STATES.index(state)).sum()) for state in shown]
            lines.append((str(row + 1), f"{rate:.2f}", *map(str, counts)))
        return lines
