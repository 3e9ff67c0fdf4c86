"""Everything around a training step: the set-up before the first one, and the work between two of them.

The step itself is in `loop.py`. Every part with its own state has its own file, and a session holds one of each:
`step_checks.py` reads and judges the numbers of each step, `validation.py` keeps the best, `checkpoints/saver.py`
writes checkpoints while the training continues, `out_of_memory.py` explains or cuts the batches, `reporting/clock.py`
knows where the time goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.files.lock import using
from motionlab.interrupt import Interrupt
from motionlab.progress_bar import Progress
from motionlab.runtime import seed_everything
from motionlab.training.checkpoints.checkpoint import has_checkpoint, remove_checkpoints
from motionlab.training.checkpoints.saver import Saver, keep_batch
from motionlab.training.checkpoints.state import Counters, pack, unpack
from motionlab.training.distributed import World
from motionlab.training.ema import AveragedWeights
from motionlab.training.freeze import freeze, trainable_table
from motionlab.training.micro_batches import Group, read_group
from motionlab.training.optimizer import is_fused, make_optimizer
from motionlab.training.out_of_memory import OutOfMemory
from motionlab.training.parallel import Parallel, require_possible
from motionlab.training.precision import deterministic, make_precision
from motionlab.training.reporting.clock import Clock
from motionlab.training.reporting.history import open_history
from motionlab.training.reporting.hooks import Hook, Hooks
from motionlab.training.reporting.meter import GroupMeans, Meter
from motionlab.training.schedule import make_schedule, scaled_lr, schedule_arguments
from motionlab.training.stage import Losses, Stage
from motionlab.training.step_checks import Rising, Step, Watch
from motionlab.training.validation import Validation

MAX_SKIPPED = 20  # skipped steps in a row: by then the loss scale has been halved 20 times, 65536 -> 0.06


class Session:
    """One training of a stage, from its start (or its last checkpoint) to its end.

    Args and errors are those of `fit`. Use `begin()` around the steps.
    """

    def __init__(
        self,
        stage: Stage[Any],
        settings: TrainConfig,
        folder: Path,
        device: torch.device,
        hooks: Sequence[Hook],
        *,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self.stage, self.settings, self.world = stage, settings, World.current()
        self.listeners = Hooks(hooks if self.world.is_first else ())
        self.checkpoints, self.counters = folder / "checkpoints", Counters()
        self._make_parts(device)
        if resume:
            self._resume()
        else:
            if self.world.is_first:
                _require_empty(self.checkpoints, overwrite)
            seed_everything(self.world.seed(settings.seed))
        self.schedule = make_schedule(self.optimizer, **schedule_arguments(settings), start=self.counters.step)
        self.history = open_history(folder if self.world.is_first else None, self.counters.step if resume else None)
        self.meter, self.clock = Meter(**self.counters.window), Clock(device, self.counters.split)
        group_size = settings.grad_accum_steps * self.world.size
        self.watch = Watch(
            device,
            deferred=device.type != "cpu" and is_fused(self.optimizer),
            scaled=self.precision.scaler.is_enabled(),
            rising=Rising(settings.rising_loss, self.counters.losses),
            blame=lambda bad: keep_batch(folder, bad, stage.batches, group_size),
            reduce=self.parallel.sum_rows,
        )
        self.memory = OutOfMemory(self.counters, settings, self.model, stage.explain_memory, self.listeners.warned)
        self.validation = Validation(
            self.model,
            stage.validate,
            self.precision,
            settings,
            self.averaged,
            stage.best_metric,
            stage.best_is_higher,
            self.parallel.whole,
        )
        self.saver = Saver(self.checkpoints, keep_last=settings.keep_last)

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, stage: Stage[Any], settings: TrainConfig, folder: Path, *more: Any, **options: Any
    ) -> Iterator[Session]:
        """A session that no other process disturbs: two trainings in one folder would write over each other."""
        with using(folder) if World.current().is_first else contextlib.nullcontext():
            this = cls(stage, settings, folder, *more, **options)
            with this.running():
                yield this

    def _make_parts(self, device: torch.device) -> None:
        """The model on its device, in its precision and with its optimizer."""
        settings, world = self.settings, self.world
        self.model = self.stage.build()
        self.precision = make_precision(device, settings.precision)
        self.facts = {"device": str(device), "precision": str(self.precision.choice)}
        freeze(self.model, settings.freeze)
        self.facts["parameters"] = trainable_table(self.model)
        batch = settings.batch_size * settings.grad_accum_steps * world.size  # the effective one
        lr, self.facts["lr"] = scaled_lr(settings.lr, settings.lr_scaling, batch, settings.base_batch)
        if world.is_first and settings.freeze:
            print(self.facts["parameters"], flush=True)
        if world.is_first and settings.lr_scaling != "none":
            print(f"learning rate: {self.facts['lr']}", flush=True)
        if warning := self.precision.prepare(self.model.to(device).train(), lr):
            self.listeners.warned(warning)
        require_possible(settings, self.precision.choice.value, world)
        self.parallel: Parallel[Losses] = Parallel(self.model, self.stage.step, world, settings.parallel)
        self.facts["processes"] = str(self.parallel)
        self.optimizer = make_optimizer(
            self.model, lr=lr, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay
        )
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.averaged = AveragedWeights(self.model, settings.ema_decay) if settings.ema_decay is not None else None

    def _resume(self) -> None:
        """Continue from `checkpoints/last`."""
        tensors, record = self.parallel.read_checkpoint(self.checkpoints)
        self.counters = unpack(
            tensors, record, self.model, self.optimizer, self.precision.scaler, self.settings, self.stage.architecture,
            self.checkpoints, averaged=self.averaged, constants=self.stage.constants, note=self.listeners.warned,
        )  # fmt: skip
        self.parallel.restore_rng(record)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or validation got no better for too long."""
        return self.counters.step >= self.settings.steps or self.validation.out_of_patience(self.counters)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Inside, the steps. At the end everything is on the disk, and those who listen know why it ended."""
        self.listeners.started(self.counters, self.facts)
        self.optimizer.zero_grad(set_to_none=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(deterministic(self.settings.deterministic))
            stack.enter_context(self.precision.active())
            stack.enter_context(_telling_the_end(self.listeners, self.counters, self.settings.steps))
            stack.enter_context(self.memory.explained())
            stack.enter_context(self.saver)
            self.progress = stack.enter_context(Progress(self.stage.title, self.settings.steps, self.counters.step))
            self.interrupt = stack.enter_context(Interrupt())
            yield
            if loss := self.precision.evidence(self.counters.step):
                self.listeners.warned(loss)
        self.world.barrier()  # what rank 0 wrote last is on the disk before anyone reads it

    def read_group(self) -> Group:
        """The micro-batches of the next optimizer step, as far as this process trains on them."""
        counters = self.counters
        return read_group(
            self.stage.batches,
            self.stage.count,
            counters.micro_step,
            self.settings.grad_accum_steps,
            counters.pieces,
            self.world,
        )

    def numbers(self, group: Group, means: GroupMeans, norm: torch.Tensor) -> Step:
        """The record of this step; its values may still be on the device."""
        names, row = means.row(grad_norm=norm)
        return Step(self.counters.step + 1, group.micro_step, group.items, self.rate, names, row)

    @property
    def rate(self) -> float:
        """The learning rate of this step."""
        return float(self.schedule.get_last_lr()[0])

    def advance(self, group: Group, stepped: bool) -> None:
        """Count the step, then read its numbers, validate, write a row and save, each when it is due.

        Args:
            stepped: False when fp16 gradients were inf: the weights did not change, so nothing else may advance.

        Raises:
            Stopped: after Ctrl-C or SIGTERM, once the step is saved.
        """
        counters, rate = self.counters, self.rate
        counters.micro_step += self.settings.grad_accum_steps * self.world.size
        if not stepped:
            self.watch.withdraw()
            _count_skip(counters)
        else:
            counters.skipped_in_a_row = 0
            counters.step += 1
            counters.items += group.items
            self.schedule.step()
            if self.averaged is not None:
                self.averaged.update(counters.step)
            self._between_steps(rate)
        if self.world.any(self.interrupt.requested):
            if self.watch.unread:
                self._account(self.watch.read(), self.clock.lap())
            self._save("last")
            self.saver.wait()
            raise self.interrupt.stopped(f"saved after step {counters.step}")

    def _between_steps(self, rate: float) -> None:
        counters, settings = self.counters, self.settings
        last = counters.step == settings.steps
        to_validate = self.stage.validate is not None and (last or counters.step % settings.val_every == 0)
        to_log = to_validate or last or counters.step % settings.log_every == 0
        to_save = last or counters.step % settings.save_every == 0
        if to_log or to_save or not self.watch.deferred:
            self._account(self.watch.read(), self.clock.lap())
        metrics: Mapping[str, float] = {}
        better = False
        if to_validate:
            with self.clock("validate"):
                metrics = self.world.from_first(self.validation())
            better = self.validation.judge(counters, metrics)
            self.listeners.validated(counters, metrics, better)
        if to_log:
            self.history.append(_row(counters, self.meter.means(), rate, metrics))
            self.listeners.logged(self.history.rows[-1])
            self.meter = Meter()
        to_save = to_save or self.validation.out_of_patience(counters)
        if better or to_save:
            self._save(*(["best"] if better else []), *(["last"] if to_save else []))

    def _save(self, *names: str) -> None:
        """Pass a checkpoint to the writer."""
        counters = self.counters
        with self.clock("save"):
            counters.window, counters.split = dataclasses.asdict(self.meter), self.clock.read()
            tensors, record = pack(
                self.model, self.optimizer, self.precision.scaler, counters, self.settings, self.stage.architecture,
                self.averaged, self.stage.constants,
            )  # fmt: skip
            self.parallel.save(self.saver, names, counters.step, tensors, record)
        for name in names:
            self.listeners.saved(name, counters.step)

    def _account(self, steps: Sequence[Step], seconds: float) -> None:
        """Take the numbers of steps that were read: into the next row of the history, and onto the screen."""
        counters = self.counters
        for one in steps:
            values = {**one.values}
            grad_norm = values.pop("grad_norm")
            self.meter.add_step(values, items=one.items, grad_norm=grad_norm, seconds=seconds / len(steps))
        counters.seconds += seconds
        shown = {"loss": steps[-1].values["loss"], "lr": steps[-1].lr, "grad norm": steps[-1].values["grad_norm"]}
        if self.precision.scaler.is_enabled():
            shown["skipped"] = counters.skipped
        speed = sum(one.items for one in steps) / seconds
        self.progress.update(
            counters.step, shown, items_per_second=speed, seconds_a_step=counters.seconds / max(1, counters.step)
        )
        self.listeners.stepped(counters, {**steps[-1].values, "lr": steps[-1].lr, "items_per_second": speed})


def _require_empty(checkpoints: Path, overwrite: bool) -> None:
    if has_checkpoint(checkpoints) and not overwrite:
        raise InputError(
            checkpoints,
            found="a checkpoint of an earlier run",
            expected="a new folder",
            fix="Resume it, overwrite it, or choose another folder.",
        )
    remove_checkpoints(checkpoints)


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
    """Tell the hooks once that the run ended, with the reason."""
    try:
        yield
    except BaseException as error:
        listeners.ended(counters, f"{type(error).__name__}: {error}")
        raise
    listeners.ended(counters, "done" if counters.step >= steps else "early")
