"""Reading the numbers of a step as rarely as possible, and missing no bad one.

Reading a number from a GPU waits until all work that was queued before it is done; a loop that reads its loss each step
leaves the device idle between steps. So the numbers stay on the device and are read together, once every `log_every`
steps. Two things must not wait for that:

- A loss or gradient that is not finite must not reach the weights. The flag `bad` lives on the device, and once it is
  set, the optimizer changes no weight (the fused AdamW looks at such a flag itself). At the next reading the
  first bad step is found among the stored values, and the weights are still those from before it.
- A step that fp16 skips may advance neither schedule nor counters, so under fp16 one number is read each step: the
  loss scale. bf16 does not pay that price.

On a CPU nothing has to be waited for: there every step is read and checked before the optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch

from motionlab.errors import InputError

WINDOW = 20  # steps whose mean loss is compared


@dataclass
class Step:
    """One optimizer step: what is known at once, and values that may still be on the device."""

    number: int  # from 1
    micro_step: int  # its first micro-batch
    items: int
    lr: float
    names: Sequence[str]
    row: torch.Tensor  # [k] float32: "loss" first, "grad_norm" last
    values: dict[str, float] = field(default_factory=dict)  # once they were read


class Watch:
    """The steps since the last reading, and the check of each.

    Args:
        deferred: leave the numbers on the device until `read`; the optimizer must then be given `bad`.
        scaled: fp16, whose gradients may be inf because the loss scale is too large; only the loss must be finite.
        rising: judges the losses in their order.
        blame: called with the step that is to blame; it keeps the batch and says where, for the message.
        reduce: means over all processes, for rows `[steps, k]`; nothing to do with one process.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        deferred: bool,
        scaled: bool,
        rising: Rising,
        blame: Callable[[Step], str],
        reduce: Callable[[torch.Tensor], torch.Tensor] = lambda rows: rows,
    ) -> None:
        self.deferred, self.scaled, self.rising, self.blame, self.reduce = deferred, scaled, rising, blame, reduce
        self.bad = torch.zeros((), device=device) if deferred and not scaled else None
        self.waiting: list[Step] = []
        self.done: list[Step] = []

    @property
    def unread(self) -> bool:
        """Whether there are steps that `read` has not given out."""
        return bool(self.waiting or self.done)

    def add(self, step: Step) -> None:
        """Take the step's numbers, before the optimizer uses its gradients.

        Raises:
            InputError: loss or gradient is not finite. When deferred, `read` raises it.
        """
        self.waiting.append(step)
        if not self.deferred:
            self._look()
        elif self.bad is not None:
            finite = torch.isfinite(step.row[0] + step.row[-1])  # no sum of two finite numbers of this size overflows
            self.bad.copy_(torch.maximum(self.bad, (~finite).float()))

    def withdraw(self) -> None:
        """The last step was skipped: its numbers count nowhere, but its loss must have been finite."""
        self._look()
        self.done.pop()

    def read(self) -> list[Step]:
        """All steps since the last call, with their values.

        Raises:
            InputError: a loss or gradient was not finite, or the loss is rising.
        """
        self._look()
        steps, self.done = self.done, []
        for step in steps:
            if cause := self.rising.add(step.values["loss"], step):
                low = self.rising.state["lowest"]
                found = f"a mean loss of {self.rising.mean:.4g} over {WINDOW} steps"
                self._stop(cause, found, f"less: it was {low:.4g} before")
        return steps

    def _look(self) -> None:
        """Move the waiting rows to the host together, and check them in their order."""
        if not self.waiting:
            return
        rows = self.reduce(torch.stack([step.row for step in self.waiting])).tolist()
        steps, self.waiting = self.waiting, []
        for step, row in zip(steps, rows, strict=True):
            step.values = dict(zip(step.names, row, strict=True))
            loss, norm = step.values["loss"], step.values["grad_norm"]
            # A loss that is not finite never heals. An inf gradient heals where a loss scale can be lowered.
            if not math.isfinite(loss) or not (math.isfinite(norm) or self.scaled):
                found = f"loss {loss}" if not math.isfinite(loss) else f"gradient norm {norm}"
                self._stop(step, found, "a finite number")
        self.done += steps

    def _stop(self, step: Step, found: str, expected: str) -> NoReturn:
        raise InputError(
            f"training step {step.number} (micro-batches from {step.micro_step})",
            found=found,
            expected=expected,
            fix=f"Look at these batches{self.blame(step)}, lower lr, or use a longer warm-up; "
            "the last checkpoint is unchanged.",
        )


class Rising:
    """Whether a run has lost what it had learned.

    A single loss jumps; the mean over 20 steps does so much less. The run is stopped when that mean is `factor` times
    the lowest one so far and also above the first one. The second condition spares a run whose loss is nearly zero,
    where a factor means little. Losses below zero are not judged: a factor means nothing there.

    Args:
        factor: None switches it off.
        state: from a checkpoint; it is changed in place and holds JSON values only.
    """

    def __init__(self, factor: float | None, state: dict[str, Any]) -> None:
        self.factor, self.state = factor, state
        self.state.setdefault("recent", [])
        self.steps: list[Step] = []  # of the recent losses, as far as this process made them

    @property
    def mean(self) -> float:
        """Mean of the last 20 losses."""
        return math.fsum(self.state["recent"]) / len(self.state["recent"])

    def add(self, loss: float, step: Step) -> Step | None:
        """Add a loss. When the run is to stop, the step that began the rise, else None."""
        if self.factor is None:
            return None
        recent, self.steps = self.state["recent"], [*self.steps[1 - WINDOW :], step]
        recent.append(loss)
        del recent[:-WINDOW]
        if len(recent) < WINDOW:
            return None
        mean = self.mean
        first, lowest = self.state.setdefault("first", mean), self.state.setdefault("lowest", mean)
        self.state["lowest"] = min(lowest, mean)
        if lowest <= 0 or mean <= self.factor * lowest or mean <= first:
            return None
        high = [seen for seen in self.steps if seen.values["loss"] > self.factor * lowest]
        return high[0] if high else step
