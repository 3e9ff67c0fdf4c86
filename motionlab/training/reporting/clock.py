"""Where the time of a training goes, without making a GPU wait.

A GPU works behind the program: a line that returns at once may have started a second of work. Its phases are therefore
timed by the device's own marks (CUDA events), which are read when the loop waits for the device anyway.
"""

from __future__ import annotations

import time
from types import TracebackType

import torch

ON_DEVICE = ("forward", "backward", "update")
PHASES = ("data", *ON_DEVICE, "validate", "save")


class Clock:
    """Seconds of each phase. `with clock("forward"): ...`; `read()` once the device is known to be done.

    Args:
        split: seconds of an earlier part of the run, to continue from.

    >>> clock = Clock(torch.device("cpu"))
    >>> with clock("data"):
    ...     time.sleep(0.01)
    >>> clock.read()["data"] >= 0.01
    True
    """

    def __init__(self, device: torch.device, split: dict[str, float] | None = None) -> None:
        self.split = {**dict.fromkeys(PHASES, 0.0), **(split or {})}
        self.cuda = device.type == "cuda"
        self.marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._pauses = 0.0
        self._lap_began = time.perf_counter()

    def __call__(self, phase: str) -> _Phase:
        return _Phase(self, phase)

    def lap(self) -> float:
        """Seconds since the last lap, without validating and saving."""
        now, began, pauses = time.perf_counter(), self._lap_began, self._pauses
        self._lap_began, self._pauses = now, 0.0
        return now - began - pauses

    def read(self) -> dict[str, float]:
        """Seconds of each phase so far. On a GPU call it only after something that waited for the device."""
        for phase, first, last in self.marks:
            self.split[phase] += first.elapsed_time(last) / 1000
        self.marks.clear()
        return self.split

    def add(self, phase: str, seconds: float) -> None:
        """Count seconds of a phase that the processor saw pass."""
        self.split[phase] += seconds
        if phase in ("validate", "save"):
            self._pauses += seconds


class _Phase:
    """One run through a phase."""

    __slots__ = ("began", "clock", "first", "phase")

    def __init__(self, clock: Clock, phase: str) -> None:
        self.clock, self.phase = clock, phase

    def __enter__(self) -> None:
        if self.clock.cuda and self.phase in ON_DEVICE:
            self.first = torch.cuda.Event(enable_timing=True)
            self.first.record()
        else:
            self.began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.clock.cuda and self.phase in ON_DEVICE:
            last = torch.cuda.Event(enable_timing=True)
            last.record()
            self.clock.marks.append((self.phase, self.first, last))
        else:
            self.clock.add(self.phase, time.perf_counter() - self.began)
