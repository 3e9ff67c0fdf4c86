"""The listeners that every training of a run has."""

from __future__ import annotations

from pathlib import Path

from motionlab.config import TrainConfig, to_mapping
from motionlab.jobs.run_folder import Run
from motionlab.jobs.schedule_picture import SchedulePicture
from motionlab.training.distributed import World
from motionlab.training.reporting.hooks import Hook
from motionlab.training.reporting.loggers import make_loggers
from motionlab.training.reporting.summary import Summary


def training_hooks(run: Run, folder: Path, settings: TrainConfig) -> list[Hook]:
    """The summary of the training (`training.json`) and the loggers of the settings; only rank 0 has any."""
    if not World.current().is_first:
        return []
    name = f"{run.config.name}-{folder.name}"
    summary, picture = Summary(folder / "training.json"), SchedulePicture(folder / "schedule.png", settings)
    return [summary, picture, *make_loggers(settings.loggers, folder, name, to_mapping(run.config))]
