"""The panel of lesson 09: a loss scale meets the gradients of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.loss_scale import ScaleLife, life_figure
from motionlab.views.loss_scale import SIMULATED, compute_life, worst_loss
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LossScalePanel(Panel):
    """Choose gradients and the rule of the scaler; see the scale grow, hit the ceiling and fall, and what it costs.

    Args:
        measured: JSON with the gradients of a real training; they become one more choice, "measured".
    """

    PRESETS: ClassVar = {
        "torch's defaults": {"start": 16, "interval": 2000, "growth": 2.0, "backoff": 0.5},
        "eager": {"start": 16, "interval": 5, "growth": 2.0, "backoff": 0.5},
        "too small": {"start": 0, "interval": 2000, "growth": 2.0, "backoff": 0.5},
        "far too large": {"start": 30, "interval": 20, "growth": 2.0, "backoff": 0.5},
    }

    def __init__(self, measured: str | Path | None = None) -> None:
        self._measured = None if measured is None else str(measured)
        super().__init__()

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "130px"}
        sources = [*SIMULATED] if self._measured is None else ["measured", *SIMULATED]
        return {
            "gradients": W.Dropdown(options=sources, value=sources[0], description="gradients", style=style),
            "start": W.IntSlider(16, -12, 30, description="log2 of first scale", style=style),
            "interval": W.Dropdown(
                options=[1, 2, 5, 10, 20, 50, 100, 2000], value=20, description="good steps to grow", style=style
            ),
            "growth": W.FloatSlider(2.0, min=1.5, max=8.0, step=0.5, description="growth factor", style=style),
            "backoff": W.FloatSlider(0.5, min=0.1, max=0.9, step=0.1, description="backoff factor", style=style),
        }

    def compute(self, **params: Any) -> ScaleLife:  # type: ignore[override]  # the file is part of the question
        return compute_life(measured=self._measured, **params)

    def picture(self, result: ScaleLife) -> Figure:
        return life_figure(result)

    def describe(self, result: ScaleLife) -> str:
        worst = worst_loss(result)
        lost = "no step was taken" if worst is None else f"at most ≈{100 * worst:.2g} % of the numbers became 0"
        return (
            f"{len(result.skipped)} steps, {sum(result.skipped)} skipped, grown {result.grown} times | log2 of "
            f"the scale ≈{result.log2_scale[0]:.3g} at first, ≈{result.log2_scale[-1]:.3g} at last | {lost}"
        )

    def rows(self, result: ScaleLife) -> Sequence[Sequence[str]]:
        """A row for the first and the last step and for each one after which the scale changed."""
        lines: list[Sequence[str]] = [("step", "log2 of the scale", "skipped", "became 0")]
        last = len(result.skipped) - 1
        for step, scale in enumerate(result.log2_scale):
            changes = step < last and result.log2_scale[step + 1] != scale
            if step in (0, last) or changes:
                skipped = result.skipped[step]
                share = "-" if skipped else f"{100 * result.lost[step]:.2g} %"
                lines.append((str(step), f"{scale:.2f}", "yes" if skipped else "no", share))
        return lines
