"""Showing how far a run is: a bar on a terminal, plain lines in a log, nothing under the ci profile.

A bar in a log file is thousands of lines of carriage returns, and a bar in a lesson can never be compared with its
saved output.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self, TextIO

from tqdm import tqdm

from motionlab.environment import asked_profile
from motionlab.errors import printable

Kind = Literal["bar", "lines", "silent"]
LINES = 20  # plain lines per run, however long it is


def progress_kind(stream: TextIO) -> Kind:
    """`silent` under the ci profile, `bar` on a terminal, `lines` anywhere else."""
    if asked_profile() == "ci":
        return "silent"
    return "bar" if stream.isatty() else "lines"


def say(text: str, kind: Kind, stream: TextIO | None = None) -> None:
    """A line about what begins, on stderr: stdout is for results. Nothing when `kind` is silent."""
    if kind != "silent":
        print(text, file=stream or sys.stderr, flush=True)


class WithBar:
    """A context manager that closes its bar at the end, if it has one."""

    bar: tqdm[Any] | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class Tally(WithBar):
    """Counts what is done of something that is no training: tokens written, clips scored. A context manager.

    >>> import io
    >>> with Tally("scoring", total=10, unit="clip", kind="lines", stream=(out := io.StringIO())) as tally:
    ...     for done in range(1, 9):
    ...         tally.update(done)
    >>> print(out.getvalue(), end="")
    scoring: 2 of 10 clips
    scoring: 4 of 10 clips
    scoring: 6 of 10 clips
    scoring: 8 of 10 clips
    """

    PARTS = 5  # plain lines, however much it is

    def __init__(self, title: str, total: int, unit: str, kind: Kind, stream: TextIO | None = None) -> None:
        self.title, self.total, self.unit, self.kind = title, total, unit, kind
        self.stream = stream if stream is not None else sys.stderr
        self.shown = 0
        self.bar = (
            tqdm(desc=title, total=total, file=self.stream, unit=f" {unit}", dynamic_ncols=True)
            if kind == "bar"
            else None
        )

    def update(self, done: int) -> None:
        """Show that `done` of the total are done. A line is printed when the next fifth is."""
        if self.bar is not None:
            self.bar.update(done - self.shown)
            self.shown = done
        elif self.kind == "lines" and done * self.PARTS // self.total > self.shown * self.PARTS // self.total:
            print(f"{self.title}: {done:,} of {self.total:,} {self.unit}s", file=self.stream, flush=True)
            self.shown = done


class Progress(WithBar):
    """Progress of a run of `steps` steps, `start` of them done. Use it as a context manager.

    >>> import io
    >>> with Progress("stage 1", steps=40, stream=(out := io.StringIO()), kind="lines") as progress:
    ...     progress.update(1, {"loss": 0.52, "lr": 1e-4}, items_per_second=210.4, seconds_a_step=0.1)
    ...     progress.update(2, {"loss": 0.5, "lr": 2e-4}, items_per_second=210.4, seconds_a_step=0.1)
    >>> print(out.getvalue(), end="")
    stage 1 2/40: loss 0.5, lr 0.0002, 210 items/s, 0:04 left
    """

    def __init__(
        self, title: str, steps: int, start: int = 0, stream: TextIO | None = None, kind: Kind | None = None
    ) -> None:
        self.title, self.steps, self.shown = printable(title), steps, start
        self.stream = stream if stream is not None else sys.stdout
        self.kind: Kind = kind if kind is not None else progress_kind(self.stream)
        self.bar = None
        if self.kind == "bar":
            self.bar = tqdm(
                desc=self.title,
                total=steps,
                initial=start,
                file=self.stream,
                unit="step",
                dynamic_ncols=True,
                leave=True,
            )

    def update(self, step: int, values: Mapping[str, float], *, items_per_second: float, seconds_a_step: float) -> None:
        """Show step number `step` with its values. A line is printed when the next 1/20 of the run is done."""
        if self.bar is not None:
            texts = {name: f"{value:.4g}" for name, value in values.items()}
            self.bar.set_postfix({**texts, "items/s": f"{items_per_second:.0f}"}, refresh=False)
            self.bar.update(step - self.shown)
            self.shown = step
        elif self.kind == "lines" and (
            step == self.steps or step * LINES // self.steps > self.shown * LINES // self.steps
        ):
            texts_line = ", ".join(f"{printable(name)} {value:.4g}" for name, value in values.items())
            left = tqdm.format_interval(round(seconds_a_step * (self.steps - step))).removeprefix("0")
            print(
                f"{self.title} {step}/{self.steps}: {texts_line}, {items_per_second:.0f} items/s, {left} left",
                file=self.stream,
                flush=True,
            )
            self.shown = step
