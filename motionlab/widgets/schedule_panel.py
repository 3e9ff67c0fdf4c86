"""The panel of lesson 10: every schedule, and what it becomes when something other than optimizer steps is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.schedules import Comparison, schedule_figure
from motionlab.views.schedules import ALL_SHAPES, COUNTS, compare_schedules, usual_milestones
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SchedulePanel(Panel):
    """Choose a shape, a length, a warm-up and a way to count; see the rate as meant and as it runs."""

    PRESETS: ClassVar = {
        "as it should be": {"shape": "cosine", "warmup": 50, "accumulation": 4, "counted": COUNTS[0]},
        "stepped per micro-batch": {"shape": "bare cosine", "warmup": 50, "accumulation": 4, "counted": COUNTS[1]},
        "total from the loader": {"shape": "cosine", "warmup": 50, "accumulation": 8, "counted": COUNTS[3]},
        "four processes count": {"shape": "multi_step", "warmup": 8, "processes": 4, "counted": COUNTS[2]},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "130px"}
        return {
            "shape": W.Dropdown(options=ALL_SHAPES, value="cosine", description="schedule", style=style),
            "steps": W.BoundedIntText(1000, min=2, max=10_000_000, description="optimizer steps", style=style),
            "warmup": W.BoundedIntText(50, min=0, max=1_000_000, description="warm-up steps", style=style),
            "floor": W.FloatSlider(0.0, min=0.0, max=0.5, step=0.05, description="floor / peak", style=style),
            "accumulation": W.Dropdown(options=[1, 2, 4, 8, 16], value=1, description="accumulation", style=style),
            "processes": W.Dropdown(options=[1, 2, 4, 8, 40], value=1, description="processes", style=style),
            "counted": W.Dropdown(options=COUNTS, value=COUNTS[0], description="counted in", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> Comparison:
        steps = params["steps"]
        return compare_schedules(
            params["shape"],
            steps=steps,
            warmup_steps=params["warmup"],
            min_lr_ratio=params["floor"],
            accumulation=params["accumulation"],
            processes=params["processes"],
            counted=params["counted"],
            milestones=usual_milestones(steps),
        )

    def picture(self, result: Comparison) -> Figure:
        return schedule_figure(result)

    def describe(self, result: Comparison) -> str:
        highest = max(result.real)
        return (
            f"last rate ≈{100 * result.real[-1]:.3g} % of the peak, meant ≈{100 * result.meant[-1]:.3g} % | "
            f"first ≈{100 * result.real[0]:.3g} %, highest ≈{100 * highest:.3g} % | "
            f"learning rate in all: ≈{100 * result.worked:.3g} % of what was meant"
        )

    def rows(self, result: Comparison) -> Sequence[Sequence[str]]:
        lines: list[Sequence[str]] = [("step", "meant", "as it runs")]
        last = len(result.steps) - 1
        for i in sorted({round(last * part / 8) for part in range(9)}):
            lines.append((f"{result.steps[i]:,}", f"{result.meant[i]:.4f}", f"{result.real[i]:.4f}"))
        return lines
