"""Processes that train in parallel, and end when the one that started them does."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from motionlab.environment import let_anything_print
from motionlab.interrupt import end_with_parent, quiet_tracker


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of processes that do not outlive their parent."""
    # spawn, not fork: a forked process inherits torch's thread pool without its threads and can hang.
    context = multiprocessing.get_context("spawn")
    quiet_tracker()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    let_anything_print()
    end_with_parent()
