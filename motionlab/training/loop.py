"""The training loop of every stage. It knows no model: a `Stage` (`stage.py`) gives it batches and losses.

One optimizer step uses a group of `grad_accum_steps` micro-batches, weighted by what each of them counts
(`micro_batches.py`). The step is written out below. The set-up before the first step, and the work between two
(numbers, validation, history, checkpoints), is in `session.py`. A listener is a `Hook` (`reporting/hooks.py`).

Several processes may train one model (`distributed.py`, `parallel.py`): each runs this loop over its part of every
group, and only rank 0 writes and prints. Decisions rest on numbers that were summed, so all take the same turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from motionlab.config import TrainConfig
from motionlab.training.optimizer import clip_gradients
from motionlab.training.parallel import plain
from motionlab.training.reporting.history import History
from motionlab.training.reporting.hooks import Hook
from motionlab.training.reporting.meter import GroupMeans
from motionlab.training.session import Session
from motionlab.training.stage import Stage


def fit(
    stage: Stage[Any],
    settings: TrainConfig,
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    hooks: Sequence[Hook] = (),
) -> History:
    """Train the model of a stage and write `history.csv` and `checkpoints/` into `folder`.

    Args:
        stage: the model, its batches, its loss, and what else belongs to it.
        resume: continue from `checkpoints/last`; the result is the same, bit for bit on a CPU, as without the stop.
        overwrite: start again although `folder` holds a checkpoint, which is removed.
        hooks: they listen to the training: loggers, reports.

    Raises:
        InputError: another process at work in `folder`, nothing to resume, a checkpoint of another run or architecture,
            a loss that is not finite or rises, fp16 gradients that stay inf, too little memory, or a disk that is full.
            `checkpoints/last` stays whole in every case.
        Stopped: a KeyboardInterrupt; after Ctrl-C or SIGTERM, when the step is done and saved.
    """
    place = Path(folder), torch.device(device)
    with Session.begin(stage, settings, *place, hooks, resume=resume, overwrite=overwrite) as this:
        clock, optimizer, precision, processes = this.clock, this.optimizer, this.precision, this.world.size
        while not this.finished:
            # --- one optimizer step: a group of micro-batches, one backward pass each
            with clock("data"):
                group = this.read_group()
            means = GroupMeans()
            with this.memory.retry(optimizer) as attempt:  # too little memory: the pieces are halved, if wanted
                for batch, share, last in group:
                    with this.parallel.accumulating(more=not last):
                        with clock("forward"), precision.autocast():
                            losses = this.parallel(batch)  # stage.step(batch)
                        with clock("backward"):  # processes average their gradients, so the shares are made larger
                            precision.scaler.scale(losses.total.float() * (share * processes)).backward()
                    means.add(losses.named(), share)
            if not attempt.complete:
                continue
            with clock("save"):
                this.saver.settle()  # the optimizer may not touch what is still being copied
            with clock("update"):
                precision.scaler.unscale_(optimizer)  # before clipping: the threshold applies to the true gradient
                norm = plain(clip_gradients(this.parameters, settings.clip_norm))
                this.watch.add(this.numbers(group, means, norm))
                stepped = precision.step(optimizer, this.watch.bad)
                optimizer.zero_grad(set_to_none=True)
            # --- between two steps: counters and schedule, validation, a row of the history, a checkpoint
            this.advance(group, stepped)
    return this.history
