"""What both training jobs have in common around the loop: who listens, and what happens to the best model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from motionlab.config import TrainConfig, to_mapping
from motionlab.jobs.run_folder import Run
from motionlab.jobs.schedule_picture import SchedulePicture
from motionlab.training.checkpoint import load_weights
from motionlab.training.distributed import World
from motionlab.training.events import Hook
from motionlab.training.loggers import make_loggers
from motionlab.training.summary import Summary

Model = TypeVar("Model", bound=torch.nn.Module)


def training_hooks(run: Run, folder: Path, settings: TrainConfig) -> list[Hook]:
    """The summary of the training (`training.json`) and the loggers that the settings ask for; rank 0 alone has any."""
    if not World.current().is_first:
        return []
    name = f"{run.config.name}-{folder.name}"
    summary, picture = Summary(folder / "training.json"), SchedulePicture(folder / "schedule.png", settings)
    return [summary, picture, *make_loggers(settings.loggers, folder, name, to_mapping(run.config))]


def keep_best(run: Run, name: str, model: Model, make: Callable[[], Model]) -> Model:
    """The model with its best weights, which are kept with the run, in eval mode.

    Args:
        name: folder of the stage below the run.
        make: makes another such model. Several processes load the weights into a new one, because the trained one may
            be in parts.
    """
    world = World.current()
    if world.size > 1:
        model = make()
    load_weights(model, run.folder / name / "checkpoints", "best")
    if world.is_first:
        run.save(model, name)
    world.barrier()
    return model.eval()
