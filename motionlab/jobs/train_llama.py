"""Train stage 2, from Python and from lessons; `stages/llama.py` says what it is."""

from __future__ import annotations

from collections.abc import Callable

from motionlab.data.splits import Splits
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.llama import LlamaStage
from motionlab.jobs.train import train
from motionlab.llama.model import MotionLlama


def train_llama(run: Run, splits: Splits, *, watch: Callable[[int], None] | None = None) -> MotionLlama:
    """Train (or continue to train) the decoder and keep its best weights with the run.

    Args:
        watch: called with the number of each micro-batch, before it is read. For a live plot; what it raises ends the
            training.
    """
    stage = LlamaStage(run, splits)
    train(stage, watch)
    return stage.model
