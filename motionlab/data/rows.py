"""The rows of all clips, float16 in one file, read through a memory map.

`MappedRows.windows` is the fast twin of `MotionStore.window`. Three things decide how fast it is. torch turns float16
into float32 ten times as fast as numpy does, so each window is one copy with a cast, straight to its place in the
batch. Fresh memory would cost as much again, so that of earlier batches serves (`buffers.py`). And a page that is not
in memory yet costs the wait for a disk: once a batch had to wait, the pages of the next ones are asked for before the
first is needed, so that the disk works on all of them at once. (Asking when everything is in memory would cost a third
of the speed.)
"""

from __future__ import annotations

import contextlib
import mmap
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.data.buffers import Buffers
from motionlab.motion.features import DIM, clear_first_row

with contextlib.suppress(ImportError):  # Windows has none
    import resource

_ROW_BYTES = DIM * 2
_ASKING = 31  # batches whose pages are asked for after one that had to wait; then one is tried without


class MappedRows:
    """`[frames, 272]` float16 in a file; what is read comes out as float32.

    Args:
        path: exists and has `frames * 544` bytes, at least one row.

    Raises:
        OSError: the file cannot be opened or mapped.
    """

    def __init__(self, path: Path, frames: int) -> None:
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), frames * _ROW_BYTES, access=mmap.ACCESS_READ)
        rows = np.frombuffer(self._map, dtype="<f2").reshape(frames, DIM)
        with warnings.catch_warnings():  # torch warns that the memory cannot be written; nobody here does
            warnings.simplefilter("ignore", UserWarning)
            self._rows = torch.from_numpy(rows)
        self._buffers, self._asking = Buffers(), 0

    def read(self, start: int, stop: int) -> Tensor:
        """`[stop - start, 272]` float32."""
        return self._rows[start:stop].float()

    def windows(self, firsts: Sequence[int], length: int) -> Tensor:
        """`[B, length, 272]` float32: the rows from each of `firsts`, row 0 of each window reset as in `crop`."""
        before = _waits_for_disk()
        if self._asking:
            self._ask_for(firsts, length)
        result = self._buffers.take(len(firsts), length, DIM)
        # [frames - length + 1, length, 272]: every window that there is, each one frame after the one before
        there = self._rows.as_strided((len(self._rows) - length + 1, length, DIM), (DIM, DIM, 1))
        torch._foreach_copy_(result.unbind(0), [there[first] for first in firsts])
        clear_first_row(result)
        self._asking = self._asking - 1 if self._asking else _ASKING * (_waits_for_disk() > before)
        return result

    def _ask_for(self, firsts: Sequence[int], length: int) -> None:
        """Tell the system which pages come next, in the order of the file."""
        for first in sorted(firsts):
            begin = first * _ROW_BYTES // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, begin, (first + length) * _ROW_BYTES - begin)


def _waits_for_disk() -> int:
    """Pages that this thread has waited for since it began; 0 on systems that do not count them for a thread."""
    thread = getattr(resource, "RUSAGE_THREAD", None) if "resource" in globals() else None
    return 0 if thread is None else resource.getrusage(thread).ru_majflt
