"""The training loop of every stage. It knows no model: a job hands over `batches`, `step` and `validate`.

One optimizer step uses a group of `grad_accum_steps` micro-batches, weighted by what each of them counts (`group.py`).
Everything with a memory of its own stands in a file of its own: `watch.py` reads and judges the numbers of each step,
`validation.py` keeps the best, `saver.py` writes checkpoints while the training goes on, `out_of_memory.py` explains or
cuts the batches, `clock.py` knows where the time goes. Who wants to listen is a `Hook` (`events.py`).

Several processes may train one model (`distributed.py`, `parallel.py`): each runs this loop over its part of every
group, and rank 0 alone writes and speaks. Decisions rest on numbers that were summed, so all take the same turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.runtime import seed_everything
from motionlab.training.checkpoint import has_checkpoint, remove_checkpoints
from motionlab.training.clock import Clock
from motionlab.training.distributed import World
from motionlab.training.ema import AveragedWeights
from motionlab.training.events import Hook, Hooks
from motionlab.training.freeze import freeze, trainable_table
from motionlab.training.group import read_group
from motionlab.training.history import FIRST_COLUMNS, History, open_history
from motionlab.training.interrupt import Interrupt
from motionlab.training.meter import GroupMeans, Meter
from motionlab.training.optimizer import clip_gradients, is_fused, make_optimizer
from motionlab.training.out_of_memory import OutOfMemory
from motionlab.training.parallel import Parallel, plain, require_possible
from motionlab.training.precision import deterministic, make_precision
from motionlab.training.progress import Progress
from motionlab.training.saver import Saver, keep_batch
from motionlab.training.schedule import make_schedule, scaled_lr, schedule_arguments
from motionlab.training.state import Counters, pack, unpack
from motionlab.training.validation import Validation
from motionlab.training.watch import Rising, Step, Watch

Batch = TypeVar("Batch")
MAX_SKIPPED = 20  # skipped steps in a row: by then the loss scale has been halved 20 times, 65536 -> 0.06


class Losses(NamedTuple):
    """What `step` returns for one micro-batch."""

    total: torch.Tensor  # scalar, the MEAN over the items that `count` counts
    logs: Mapping[str, torch.Tensor | float] = {}  # further means, such as an accuracy; the same names every time


def fit(
    model: nn.Module,
    *,
    batches: Callable[[int], Batch],
    step: Callable[[Batch], Losses],
    settings: TrainConfig,
    folder: str | Path,
    validate: Callable[[], Mapping[str, float]] | None = None,
    count: Callable[[Batch], int] = len,  # type: ignore[assignment]
    device: str | torch.device = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    best_metric: str = "loss",
    best_is_higher: bool = False,
    architecture: Mapping[str, Any] | None = None,
    title: str = "training",
    hooks: Sequence[Hook] = (),
    constants: Mapping[str, torch.Tensor] | None = None,
    explain_memory: Callable[[int], str] | None = None,
) -> History:
    """Train `model` in place and write `history.csv` and `checkpoints/` into `folder`.

    Args:
        batches: micro-step number (from 0) to a micro-batch. A pure function, so the place in the data is a number.
        step: forward pass of one micro-batch, to its mean loss. It moves the batch to the device.
        validate: metrics of the model, called in eval and inference mode. Columns `val_<name>`.
        count: what the mean loss is a mean over: clips, or tokens that are not padding.
        resume: go on from `checkpoints/last`; the result is the same, bit for bit on a CPU, as without the stop.
        overwrite: start anew although `folder` holds a checkpoint, which is removed.
        best_metric: name in the result of `validate`; `checkpoints/best` keeps the model that had the best value.
        architecture: plain settings of the model, stored with it and compared on resume.
        hooks: who listens to the training: loggers, reports.
        constants: tensors that belong to the model though no training changes them (the normaliser); stored with it
            and compared on resume.
        explain_memory: called with a micro-batch size when memory is short: what holds how much, and what would help.

    Raises:
        InputError: nothing to resume, a checkpoint of another run or architecture, a loss that is not finite or rises,
            fp16 gradients that stay inf, too little memory, or a disk that is full. `checkpoints/last` stays whole in
            every case.
        Stopped: a KeyboardInterrupt; after Ctrl-C or SIGTERM, when the step is done and saved.
    """
    folder, device, architecture, world = Path(folder), torch.device(device), architecture or {}, World.current()
    listeners = Hooks(hooks if world.is_first else ())
    precision = make_precision(device, settings.precision)
    facts = {"device": str(device), "precision": str(precision.choice)}
    freeze(model, settings.freeze)
    facts["parameters"] = trainable_table(model)
    lr, facts["lr"] = scaled_lr(
        settings.lr, settings.lr_scaling, _effective_batch(settings, world), settings.base_batch
    )
    if world.is_first and settings.freeze:
        print(facts["parameters"], flush=True)
    if world.is_first and settings.lr_scaling != "none":
        print(f"learning rate: {facts['lr']}", flush=True)
    if warning := precision.prepare(model.to(device).train(), lr):
        listeners.warned(warning)
    require_possible(settings, precision.choice.value, world)
    parallel = Parallel(model, step, world, settings.parallel)
    facts["processes"] = str(parallel)
    optimizer = make_optimizer(model, lr=lr, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    averaged = AveragedWeights(model, settings.ema_decay) if settings.ema_decay is not None else None
    checkpoints, counters = folder / "checkpoints", Counters()
    if resume:
        tensors, record = parallel.read_checkpoint(checkpoints)
        counters = unpack(
            tensors, record, model, optimizer, precision.scaler, settings, architecture, checkpoints,
            averaged=averaged, constants=constants, note=listeners.warned,
        )  # fmt: skip
        parallel.restore_rng(record)
        del tensors
    else:
        if world.is_first:
            _require_empty(checkpoints, overwrite)
        seed_everything(world.seed(settings.seed))
    schedule = make_schedule(optimizer, **schedule_arguments(settings), start=counters.step)
    history = open_history(folder if world.is_first else None, counters.step if resume else None)
    meter, clock = Meter(**counters.window), Clock(device, counters.split)
    watch = Watch(
        device,
        deferred=device.type != "cpu" and is_fused(optimizer),
        scaled=precision.scaler.is_enabled(),
        rising=Rising(settings.rising_loss, counters.losses),
        blame=lambda bad: keep_batch(folder, bad, batches, settings.grad_accum_steps * world.size),
        reduce=parallel.sum_rows,
    )
    memory = OutOfMemory(counters, settings, model, explain_memory, listeners.warned)
    validation = Validation(model, validate, precision, settings, averaged, best_metric, best_is_higher, parallel.whole)
    saver = Saver(checkpoints, keep_last=settings.keep_last)

    def save(*names: str) -> None:
        with clock("save"):
            counters.window, counters.split = dataclasses.asdict(meter), clock.read()
            tensors, record = pack(
                model, optimizer, precision.scaler, counters, settings, architecture, averaged, constants
            )
            parallel.save(saver, names, counters.step, tensors, record)
        for name in names:
            listeners.saved(name, counters.step)

    def account(steps: Sequence[Step], seconds: float) -> None:
        for one in steps:
            values = {**one.values}
            meter.add_step(values, items=one.items, grad_norm=values.pop("grad_norm"), seconds=seconds / len(steps))
        counters.seconds += seconds
        shown = {"loss": steps[-1].values["loss"], "lr": steps[-1].lr, "grad norm": steps[-1].values["grad_norm"]}
        if precision.scaler.is_enabled():
            shown["skipped"] = counters.skipped
        speed = sum(one.items for one in steps) / seconds
        progress.update(
            counters.step, shown, items_per_second=speed, seconds_a_step=counters.seconds / max(1, counters.step)
        )
        listeners.stepped(counters, {**steps[-1].values, "lr": steps[-1].lr, "items_per_second": speed})

    listeners.started(counters, facts)
    optimizer.zero_grad(set_to_none=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(deterministic(settings.deterministic))
        stack.enter_context(precision.active())
        stack.enter_context(_telling_the_end(listeners, counters, settings.steps))
        stack.enter_context(memory.explained())
        stack.enter_context(saver)
        progress = stack.enter_context(Progress(title, settings.steps, counters.step))
        interrupt = stack.enter_context(Interrupt())
        while counters.step < settings.steps and not validation.out_of_patience(counters):
            # --- one optimizer step: a group of micro-batches, one backward pass each
            with clock("data"):
                group = read_group(
                    batches, count, counters.micro_step, settings.grad_accum_steps, counters.pieces, world
                )
            means = GroupMeans()
            with memory.retry(optimizer) as attempt:  # too little memory: the pieces are halved, if that is wanted
                for batch, share, last in group:
                    with parallel.accumulating(more=not last):
                        with clock("forward"), precision.autocast():
                            losses = parallel(batch)
                        with clock("backward"):  # processes average their gradients, so the shares are made larger
                            precision.scaler.scale(losses.total.float() * (share * world.size)).backward()
                    means.add(_named(losses), share)
            if not attempt.complete:
                continue
            with clock("save"):
                saver.settle()  # the optimizer may not touch what is still being copied
            with clock("update"):
                precision.scaler.unscale_(optimizer)  # before clipping: the threshold is meant for the true gradient
                norm = plain(clip_gradients(parameters, settings.clip_norm))
                names, row = means.row(grad_norm=norm)
                rate = float(schedule.get_last_lr()[0])
                watch.add(Step(counters.step + 1, group.micro_step, group.items, rate, names, row))
                stepped = precision.step(optimizer, watch.bad)
                optimizer.zero_grad(set_to_none=True)
            counters.micro_step += settings.grad_accum_steps * world.size
            if not stepped:  # fp16 gradients were inf: the weights did not change, so nothing else may advance
                watch.withdraw()
                _count_skip(counters)
            else:
                counters.skipped_in_a_row = 0
                counters.step += 1
                counters.items += group.items
                schedule.step()
                if averaged is not None:
                    averaged.update(counters.step)
                # --- what happens between steps: read the numbers, validate, write a row, save
                last = counters.step == settings.steps
                to_validate = validate is not None and (last or counters.step % settings.val_every == 0)
                to_log = to_validate or last or counters.step % settings.log_every == 0
                to_save = last or counters.step % settings.save_every == 0
                if to_log or to_save or not watch.deferred:
                    account(watch.read(), clock.lap())
                metrics: Mapping[str, float] = {}
                better = False
                if to_validate:
                    with clock("validate"):
                        metrics = world.from_first(validation())
                    better = validation.judge(counters, metrics)
                    listeners.validated(counters, metrics, better)
                if to_log:
                    history.append(_row(counters, meter.means(), rate, metrics))
                    listeners.logged(history.rows[-1])
                    meter = Meter()
                to_save = to_save or validation.out_of_patience(counters)
                if better or to_save:
                    save(*(["best"] if better else []), *(["last"] if to_save else []))
            if world.any(interrupt.requested):
                if watch.unread:
                    account(watch.read(), clock.lap())
                save("last")
                saver.wait()
                raise interrupt.stopped(f"saved after step {counters.step}")
        if loss := precision.evidence(counters.step):
            listeners.warned(loss)
    world.barrier()  # what rank 0 wrote last is on the disk before anyone reads it
    return history


def _effective_batch(settings: TrainConfig, world: World) -> int:
    return settings.batch_size * settings.grad_accum_steps * world.size


def _require_empty(checkpoints: Path, overwrite: bool) -> None:
    if has_checkpoint(checkpoints) and not overwrite:
        raise InputError(
            checkpoints,
            found="a checkpoint of an earlier run",
            expected="a new folder",
            fix="Resume it, overwrite it, or choose another folder.",
        )
    remove_checkpoints(checkpoints)


def _named(losses: Losses) -> dict[str, torch.Tensor | float]:
    taken = sorted(set(losses.logs) & set(FIRST_COLUMNS))
    if taken:
        raise ValueError(f"the history has a column {taken[0]!r} of its own; choose another name for this log")
    return {"loss": losses.total, **losses.logs}


def _count_skip(counters: Counters) -> None:
    counters.skipped += 1
    counters.skipped_in_a_row += 1
    if counters.skipped_in_a_row >= MAX_SKIPPED:
        raise InputError(
            f"training step {counters.step + 1}",
            found=f"{MAX_SKIPPED} steps skipped in a row because their fp16 gradients were inf or nan",
            expected="finite gradients after the loss scale was lowered",
            fix="Lower lr, or use precision bf16 or fp32; the last checkpoint is unchanged.",
        )


def _row(counters: Counters, means: dict[str, float], lr: float, metrics: Mapping[str, float]) -> dict[str, float]:
    fixed = {"step": counters.step, "items": counters.items, "seconds": round(counters.seconds, 3)}
    validated = {f"val_{name}": float(value) for name, value in metrics.items()}
    return {**fixed, "skipped": counters.skipped, "lr": lr, **means, **validated}


@contextlib.contextmanager
def _telling_the_end(listeners: Hook, counters: Counters, steps: int) -> Iterator[None]:
    """Whatever ends the run, those who listen hear of it once, with the reason."""
    try:
        yield
    except BaseException as error:
        listeners.ended(counters, f"{type(error).__name__}: {error}")
        raise
    listeners.ended(counters, "done" if counters.step >= steps else "early")
