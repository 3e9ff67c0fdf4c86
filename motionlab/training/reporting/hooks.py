"""The events of a training that loggers, reports and tests can listen to.

The loop calls each method at one place and does not know what happens there, so a new logger changes no line of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from motionlab.errors import printable

if TYPE_CHECKING:
    from motionlab.training.checkpoints.state import Counters


class Hook:
    """Listens to a training. Every method does nothing here; a subclass overrides the ones that it needs."""

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        """Before the first step. `facts` are choices with their reasons: device, precision, schedule, parameters."""

    def stepped(self, counters: Counters, values: Mapping[str, float]) -> None:
        """After optimizer steps whose `values` (loss, lr, grad_norm, items_per_second) were read.

        On a CPU that is each step. On a GPU it is once every `log_every` steps: reading a number waits for the device.
        """

    def validated(self, counters: Counters, metrics: Mapping[str, float], best: bool) -> None:
        """After a validation; `best` tells whether it was the best so far."""

    def logged(self, row: Mapping[str, float]) -> None:
        """After a row of the history."""

    def saved(self, name: str, step: int) -> None:
        """After a checkpoint was passed to the writer; it is on the disk before the next one, or before the end."""

    def warned(self, text: str) -> None:
        """Something that a person should know and that does not stop the run."""

    def ended(self, counters: Counters, reason: str) -> None:
        """After the last save. `reason` is "done", "early" (no better validation) or the error that stopped the run."""


class Hooks(Hook):
    """Several hooks as one, in order.

    >>> class Count(Hook):
    ...     rows = 0
    ...     def logged(self, row): self.rows += 1
    >>> count = Count(); Hooks([count, Hook()]).logged({"step": 1}); count.rows
    1
    """

    def __init__(self, hooks: Sequence[Hook] = ()) -> None:
        self.hooks = list(hooks)

    def started(self, counters: Counters, facts: Mapping[str, str]) -> None:
        for hook in self.hooks:
            hook.started(counters, facts)

    def stepped(self, counters: Counters, values: Mapping[str, float]) -> None:
        for hook in self.hooks:
            hook.stepped(counters, values)

    def validated(self, counters: Counters, metrics: Mapping[str, float], best: bool) -> None:
        for hook in self.hooks:
            hook.validated(counters, metrics, best)

    def logged(self, row: Mapping[str, float]) -> None:
        for hook in self.hooks:
            hook.logged(row)

    def saved(self, name: str, step: int) -> None:
        for hook in self.hooks:
            hook.saved(name, step)

    def warned(self, text: str) -> None:
        print(f"warning: {printable(text)}", flush=True)
        for hook in self.hooks:
            hook.warned(text)

    def ended(self, counters: Counters, reason: str) -> None:
        for hook in self.hooks:
            hook.ended(counters, reason)
