"""A stage of a run: what the stages that `motionlab train` knows have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from motionlab.config import RunConfig, TrainConfig
from motionlab.errors import InputError
from motionlab.jobs.prepare import check_data, prepare, require_splits, tell
from motionlab.jobs.run_folder import Run
from motionlab.runtime import choose_device, seed_everything
from motionlab.training.distributed import World
from motionlab.training.stage import Stage

Batch = TypeVar("Batch")


class RunStage(Stage[Batch]):
    """A stage with the settings of a run, whose best weights are kept in the folder of that run.

    A subclass has a `name`, makes its data ready in `__init__`, and writes `make`, `batches`, `step` and, if it is
    validated, `validate`. `motionlab.training.stage` says what these mean and what else may be set.

    Args:
        run: its config holds `<name>_training`.
        splits: what it learns from, as `prepare` of its class gives it: the motions.
        variant: another kind of the same stage, trained in its own folder; None is the one that the config names.

    Attributes:
        settings, folder, device: for `fit`.
        model: from `build` on.
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training. A stage that can be watched calls it first in `batches`.
    """

    name: ClassVar[str]
    model: nn.Module
    splits: Any

    def __init__(self, run: Run, splits: Any, variant: str | None = None) -> None:
        self.run, self.splits = run, splits
        self.settings: TrainConfig = getattr(run.config, f"{self.name}_training")
        self.folder = run.stage_folder(self.name, variant)
        self.device = torch.device(choose_device(run.config.device).value)
        self.title = f"{self.name} {variant}" if variant else self.name
        self.watch: Callable[[int], None] = _nobody

    @classmethod
    def check(cls, config: RunConfig, variant: str | None = None) -> None:
        """Refuse settings that cannot work, before anything is read or written.

        Raises:
            InputError: a variant, and this stage has none. A stage that has some overrides this.
        """
        if variant is not None:
            raise InputError(
                f"train {cls.name}",
                found=f"variant {variant!r}",
                expected="none: it has one kind",
                fix="Leave it out.",
            )

    @classmethod
    def check_data(cls, config: RunConfig) -> None:
        """Refuse settings that name motions that are not there. A stage with other data overrides this and `prepare`.

        Raises:
            InputError: what is missing, and how to get it.
        """
        check_data(config)

    @classmethod
    def prepare(cls, run: Run) -> Any:
        """The data of the stage; they have to be those that the run began with. Nothing of the run is changed.

        Raises:
            InputError: data that cannot be used, or others than those of the run.
        """
        splits = prepare(run.config)
        require_splits(run, splits)
        if run.config.data.source != "composed" and World.current().is_first:
            tell(splits)
        return splits

    @classmethod
    def check_run(cls, run: Run) -> None:
        """Refuse a run that lacks what this stage builds on, before anything is written. Nothing is lacking here."""

    def make(self) -> nn.Module:
        """A new model with random weights."""
        raise NotImplementedError

    def build(self) -> nn.Module:
        """The model to train: the same first weights for the same seed, whatever was drawn before."""
        seed_everything(self.settings.seed)
        self.model = self.make()
        return self.model

    @property
    def little_work(self) -> bool:
        """Whether a step is so little work that one thread of a CPU does it sooner than two."""
        return False

    def keep(self) -> None:
        """Keep the model, which has its best weights now, with the run. Called at the end, in one process."""
        self.run.save(self.model, self.folder.name)


def _nobody(number: int) -> None:
    """Watches nothing."""
