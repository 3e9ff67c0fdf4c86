"""Ctrl-C and SIGTERM that wait for the end of the step, so that the checkpoint they leave is a whole one.

SIGTERM is what a cluster sends before it takes a machine back. Both wait for the whole group of micro-batches: then
there are no half-summed gradients to save, and the run that resumes is the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

TIME_TO_SAVE = 20.0  # seconds that a training has to finish its step and save


class Stopped(KeyboardInterrupt):
    """A training that was told to stop, and saved.

    Attributes:
        exit_code: what a shell expects of a program that this signal ended: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, text: str, number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.exit_code = 128 + number


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Inside the `with` block SIGTERM ends work as Ctrl-C does: temporary files are removed, and exit is with 143.

    Child processes are told, too. A training has a handler of its own (`Interrupt`). Below torchrun nothing changes:
    a process that waits for its peers runs no handler, and torchrun must be able to end it.
    """
    if threading.current_thread() is not threading.main_thread() or "RANK" in os.environ:
        yield
        return
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _end(number: int, frame: FrameType | None) -> None:
    for child in multiprocessing.active_children():
        child.terminate()
    raise Stopped("", number)


def end_with_parent() -> None:
    """To be called first in a child: a killed parent cannot stop it, and one that waits for work never notices."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # a training saves; whatever else runs ends here
        time.sleep(TIME_TO_SAVE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def quiet_tracker() -> None:
    """To be called before a pool of processes is made, so that a kill of this process is not followed by a warning.

    A pool has named semaphores. Python's resource tracker, a process of its own, removes them after a kill; and it
    warns of them, as of a fault of the program, on a terminal whose command has ended.
    """
    if os.name == "nt":
        return
    from multiprocessing import resource_tracker

    ours = "ignore:resource_tracker"
    sys.warnoptions.append(ours)  # handed on to the tracker, if it does not run yet
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(ours)


class Interrupt:
    """Inside the `with` block the first signal only sets `.requested`; a second one stops at once.

    Signals reach the main thread only, so in any other thread this does nothing.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    def stopped(self, text: str) -> Stopped:
        """The exception to raise once everything is saved."""
        return Stopped(text, self.number or signal.SIGINT)

    def __enter__(self) -> Interrupt:
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise Stopped("stopped at once, without saving", number)
        self.number = int(number)
