"""Processes that train in parallel, and end when the one that started them does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

from motionlab.environment import let_anything_print

TIME_TO_SAVE = 20.0  # seconds that a training has to finish its step and save


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of processes that do not outlive their parent."""
    # spawn, not fork: a forked process inherits torch's thread pool without its threads and can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A killed parent cannot stop its children, and a child that waits for work never notices. So it watches."""
    let_anything_print()
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # a training saves; whatever else runs ends here
        time.sleep(TIME_TO_SAVE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
