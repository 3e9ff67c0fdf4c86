"""The learning rate that a run will have, before it has taken a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from motionlab.plots.curves import line_figure
from motionlab.training.schedule import lr_factor, plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_schedule(runs: Mapping[str, tuple[float, Mapping[str, Any]]], title: str = "") -> Figure:
    """One line a run.

    Args:
        runs: label -> peak learning rate and the arguments of `lr_factor` but the step (`schedule_arguments` of a
            `TrainConfig`).

    >>> figure = plot_schedule({"cosine": (1e-3, {"steps": 100, "warmup_steps": 10})})
    >>> [round(float(lr), 6) for lr in figure.axes[0].lines[0].get_ydata()[[0, 9, 99]]]
    [0.0001, 0.001, 0.0]
    """
    lines = {}
    for label, (lr, arguments) in runs.items():
        lines[label] = plan(lr, lambda step, known=arguments: lr_factor(step, **known), arguments["steps"])  # type: ignore[misc]
    figure = line_figure(lines, x_label="optimizer step", y_label="learning rate", title=title)
    figure.axes[0].set_ylim(bottom=0)
    return figure
