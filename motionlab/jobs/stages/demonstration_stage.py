"""The common part of both stages of the robot half: they learn from demonstrations, not from motions."""

from __future__ import annotations

from typing import TypeVar

from motionlab.config import RunConfig
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.run_stage import RunStage
from motionlab.jobs.vla.data import Demonstrations, check_vla_data, prepare_demonstrations, require_demonstrations

Batch = TypeVar("Batch")


class DemonstrationStage(RunStage[Batch]):
    """A stage whose `splits` are the demonstrations of a run."""

    splits: Demonstrations

    @classmethod
    def check_data(cls, config: RunConfig) -> None:
        """See `check_vla_data`."""
        check_vla_data(config)

    @classmethod
    def prepare(cls, run: Run) -> Demonstrations:
        """The demonstrations, made now unless the cache has them."""
        data = prepare_demonstrations(run.config)
        require_demonstrations(run, data)
        return data
