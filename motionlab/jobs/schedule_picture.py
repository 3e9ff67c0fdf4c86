"""A picture of the learning rate beside the history, made before the first step: a wrong schedule is seen in time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from motionlab.config import TrainConfig
from motionlab.files import atomic_path
from motionlab.plots.curves import figure_to_png
from motionlab.plots.schedule import plot_schedule
from motionlab.training.distributed import World
from motionlab.training.events import Hook
from motionlab.training.schedule import scaled_lr, schedule_arguments
from motionlab.training.state import Counters


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
