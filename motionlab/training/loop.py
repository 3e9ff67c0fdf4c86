"""The training loop of every stage. It knows no model: a job hands over `batches`, `step` and `validate`.

One optimizer step uses a group of `grad_accum_steps` micro-batches. With n_i items in micro-batch i and N = sum n_i,
the mean loss over the group is sum_i (n_i / N) loss_i, where loss_i is the mean over micro-batch i. Weighting each
loss by n_i / N before its backward pass therefore gives the gradient of one big batch, also when the last
micro-batch is short. (Dividing by the number of micro-batches gives something else.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.runtime import seed_everything, seeded
from motionlab.training.checkpoint import has_checkpoint, read_checkpoint, remove_checkpoint, write_checkpoint
from motionlab.training.history import FIRST_COLUMNS, History
from motionlab.training.interrupt import Interrupt
from motionlab.training.meter import GroupMeans, Meter
from motionlab.training.optimizer import make_optimizer
from motionlab.training.precision import make_precision
from motionlab.training.progress import Progress
from motionlab.training.schedule import make_schedule
from motionlab.training.state import Counters, pack, unpack

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

    Raises:
        InputError: nothing to resume, a checkpoint of another run or architecture, a loss that is not finite, fp16
            gradients that stay inf, or a disk that is full. `checkpoints/last` stays whole in every case.
        KeyboardInterrupt: after Ctrl-C, when the step is done and saved.
    """
    folder, device, architecture = Path(folder), torch.device(device), architecture or {}
    precision = make_precision(device, settings.precision)
    model.to(device).train()
    optimizer = make_optimizer(
        model, lr=settings.lr, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay
    )
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    checkpoints, counters = folder / "checkpoints", Counters()
    if resume:
        tensors, record = read_checkpoint(checkpoints)
        counters = unpack(tensors, record, model, optimizer, precision.scaler, settings, architecture, checkpoints)
        del tensors
    else:
        _require_empty(checkpoints, overwrite)
        seed_everything(settings.seed)
    schedule = make_schedule(
        optimizer,
        steps=settings.steps,
        warmup_steps=settings.warmup_steps,
        min_lr_ratio=settings.min_lr_ratio,
        start=counters.step,
    )
    history = History.resume(folder / "history.csv", counters.step) if resume else History(folder / "history.csv")
    meter = Meter(**counters.window)

    def save(name: str) -> None:
        counters.window = dataclasses.asdict(meter)
        tensors, record = pack(model, optimizer, precision.scaler, counters, settings, architecture)
        if name == "best":  # for inference: no optimizer
            tensors = {key: value for key, value in tensors.items() if key.startswith("model.")}
        write_checkpoint(checkpoints, name, counters.step, tensors, record)

    optimizer.zero_grad(set_to_none=True)
    with Interrupt() as interrupt, Progress(title, settings.steps, counters.step) as progress:
        while counters.step < settings.steps:
            # --- one optimizer step: a group of micro-batches, one backward pass each
            began = time.perf_counter()
            group = [batches(counters.micro_step + i) for i in range(settings.grad_accum_steps)]
            counts = [count(batch) for batch in group]
            items, means = sum(counts), GroupMeans()
            _require_items(counters, items)
            for batch, n in zip(group, counts, strict=True):
                with precision.autocast():
                    losses = step(batch)
                precision.scaler.scale(losses.total.float() * (n / items)).backward()
                means.add(_named(losses), n / items)
            precision.scaler.unscale_(optimizer)  # before clipping: the threshold is meant for the true gradient
            norm = nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)
            values = means.read(grad_norm=norm)
            grad_norm = values.pop("grad_norm")
            _require_finite(counters, values["loss"], grad_norm, precision.scaler.is_enabled())
            lr = float(schedule.get_last_lr()[0])
            stepped = precision.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
            counters.micro_step += settings.grad_accum_steps
            seconds = time.perf_counter() - began
            counters.seconds += seconds
            if not stepped:  # fp16 gradients were inf: the weights did not change, so nothing else may advance
                _count_skip(counters)
            else:
                counters.skipped_in_a_row = 0
                counters.step += 1
                counters.items += items
                schedule.step()
                meter.add_step(values, items=items, grad_norm=grad_norm, seconds=seconds)
                progress.update(
                    counters.step,
                    {"loss": values["loss"], "lr": lr},
                    items_per_second=items / seconds,
                    seconds_a_step=counters.seconds / counters.step,
                )
                # --- what happens between steps: validate, write a row, save
                last = counters.step == settings.steps
                metrics: Mapping[str, float] = {}
                if validate is not None and (last or counters.step % settings.val_every == 0):
                    with _evaluating(model), seeded(settings.seed), torch.inference_mode(), precision.autocast():
                        metrics = validate()
                if metrics or last or counters.step % settings.log_every == 0:
                    history.append(_row(counters, meter.means(), lr, metrics))
                    meter = Meter()
                if metrics and _is_better(counters, metrics, best_metric, best_is_higher):
                    save("best")
                if last or counters.step % settings.save_every == 0:
                    save("last")
            if interrupt.requested:
                save("last")
                raise KeyboardInterrupt(f"saved after step {counters.step}; resume to go on")
    return history


def _require_empty(checkpoints: Path, overwrite: bool) -> None:
    if has_checkpoint(checkpoints) and not overwrite:
        raise InputError(
            checkpoints,
            found="a checkpoint of an earlier run",
            expected="a new folder",
            fix="Resume it, overwrite it, or choose another folder.",
        )
    for name in ("last", "best"):
        remove_checkpoint(checkpoints, name)


def _named(losses: Losses) -> dict[str, torch.Tensor | float]:
    taken = sorted(set(losses.logs) & set(FIRST_COLUMNS))
    if taken:
        raise ValueError(f"the history has a column {taken[0]!r} of its own; choose another name for this log")
    return {"loss": losses.total, **losses.logs}


def _require_items(counters: Counters, items: int) -> None:
    """A mean over nothing has no gradient; going on would divide by zero."""
    if items <= 0:
        raise InputError(
            f"training step {counters.step + 1} (micro-batches from {counters.micro_step})",
            found=f"{items} items to learn from",
            expected="at least one (a clip, or a token that is not padding)",
            fix="Leave empty clips out of the data; the last checkpoint is unchanged.",
        )


def _require_finite(counters: Counters, loss: float, grad_norm: float, scaled: bool) -> None:
    """A loss that is not finite never heals. An inf gradient heals only where a loss scale can be lowered."""
    bad = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {grad_norm}"
    if not math.isfinite(loss) or not (math.isfinite(grad_norm) or scaled):
        raise InputError(
            f"training step {counters.step + 1} (micro-batches from {counters.micro_step})",
            found=bad,
            expected="a finite number",
            fix="Check these batches for nan, lower lr, or use a longer warm-up; the last checkpoint is unchanged.",
        )


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


def _is_better(counters: Counters, metrics: Mapping[str, float], name: str, higher: bool) -> bool:
    """Whether this validation beats the best so far, which it then becomes. nan beats nothing."""
    if name not in metrics:
        raise InputError(
            "best_metric", found=repr(name), expected=", ".join(metrics), fix="Name a metric that validate returns."
        )
    value = float(metrics[name])
    if not math.isfinite(value):
        return False
    if counters.best is not None and (value <= counters.best if higher else value >= counters.best):
        return False
    counters.best, counters.best_step = value, counters.step
    return True


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, and afterwards the mode that EACH module had: a frozen part that was in eval mode stays there."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
