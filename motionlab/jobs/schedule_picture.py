"""A picture of the learning rate, saved next to the history before the first step to show a wrong schedule in time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motionlab.config import TrainConfig
from motionlab.files import atomic_path
from motionlab.plots.curves import figure_to_png, line_figure
from motionlab.training.checkpoints.state import Counters
from motionlab.training.distributed import World
from motionlab.training.reporting.hooks import Hook
from motionlab.training.schedule import lr_factor, plan, scaled_lr, schedule_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SchedulePicture(Hook):
    """Writes `schedule.png` when a training begins."""

    def __init__(self, path: Path, settings: TrainConfig) -> None:
        self.path, self.settings = path, settings

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        settings = self.settings
        batch = settings.batch_size * settings.grad_accum_steps * World.current().size
        lr, words = scaled_lr(settings.lr, settings.lr_scaling, batch, settings.base_batch)
        title = f"{settings.schedule}, peak {words}"
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(figure_to_png(plot_schedule({"": (lr, schedule_arguments(settings))}, title)))


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
