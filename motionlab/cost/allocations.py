"""How much memory tensors hold while some code runs, as their allocator counted it.

On a CPU torch's profiler reports each allocation and each release of tensor memory, temporary copies inside an
operation included. Their running sum is exact, and the same on every machine whose libraries choose the same copies:
AVX2, AVX-512 and AMX processors, with one thread or two, gave peaks within 1 % of each other. The size of the process
(RSS) would not do: it holds libraries too, and does not shrink when memory is released.
On a GPU the caching allocator keeps the largest sum itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from motionlab.errors import InputError

_PHASE = "memory phase: "


class MemoryRecord:
    """Bytes that tensors held, counted from where the recording began.

    Attributes:
        held: bytes after each allocation and release, in order, from 0. On a GPU only three numbers per phase: before,
            at most, after.
        phases: name -> (first, last) place in `held`.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.held: list[int] = [0]
        self.phases: dict[str, tuple[int, int]] = {}
        self._base = 0

    @property
    def peak(self) -> int:
        """The largest sum."""
        return max(self.held)

    @property
    def end(self) -> int:
        """Bytes still held at the end."""
        return self.held[-1]

    def peak_of(self, phase: str) -> int:
        """The largest sum in a phase."""
        first, last = self.phases[phase]
        return max(self.held[first : last + 1])

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Give the code inside a name."""
        if self.device.type == "cuda":
            first = len(self.held)
            self._read_cuda()
            yield
            self._read_cuda()
            self.phases[name] = (first, len(self.held) - 1)
        else:
            with torch.profiler.record_function(_PHASE + name):
                yield

    def _read_cuda(self) -> None:
        torch.cuda.synchronize(self.device)
        self.held.append(torch.cuda.max_memory_allocated(self.device) - self._base)
        self.held.append(torch.cuda.memory_allocated(self.device) - self._base)
        torch.cuda.reset_peak_memory_stats(self.device)

    def _read_profiler(self, profiler: torch.autograd.profiler.profile) -> None:
        tree = profiler.kineto_results.experimental_event_tree()  # type: ignore[union-attr]
        events = sorted(_all_events(tree), key=lambda e: e.start_time_ns)
        ours: set[int] = set()  # addresses of blocks that were allocated inside
        times: list[int] = []
        for event in events:
            if event.name == "[memory]":
                address, change = event.extra_fields.ptr, event.extra_fields.alloc_size
                if change > 0:
                    ours.add(address)
                elif address in ours:
                    ours.remove(address)
                else:
                    continue  # released inside, allocated before
                self.held.append(self.held[-1] + change)
                times.append(event.start_time_ns)
        for event in events:
            if event.name.startswith(_PHASE):
                first = sum(time < event.start_time_ns for time in times)
                last = sum(time <= event.end_time_ns for time in times)
                self.phases[event.name.removeprefix(_PHASE)] = (first, last)


def _all_events(tree: Iterable[Any]) -> list[Any]:
    found = list(tree)
    for event in found:  # the list grows while it is read
        found.extend(event.children)
    return found


@contextlib.contextmanager
def record_memory(device: str | torch.device = "cpu") -> Iterator[MemoryRecord]:
    """Record the block; read the result after it.

    Memory that was held before does not count, also when the block releases it.

    >>> with record_memory() as memory:
    ...     a = torch.zeros(1000)
    ...     b = a + a
    ...     del a
    >>> memory.peak, memory.end
    (8000, 4000)

    Raises:
        InputError: neither a CPU nor a CUDA device; other allocators do not tell their peak.
    """
    device = torch.device(device)
    if device.type not in ("cpu", "cuda"):
        raise InputError("device", found=str(device), expected="cpu or cuda", fix="Measure on one of these.")
    record = MemoryRecord(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        record._base = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        try:
            yield record
        finally:
            record._read_cuda()
        return
    # The profiler's library writes a line to stderr at its start and stop, below Python, unless its level is high.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with _no_garbage_collection(), torch.autograd.profiler.profile(profile_memory=True, use_kineto=True) as profiler:
        yield record
    record._read_profiler(profiler)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Cyclic garbage is freed at an unpredictable moment, and torch warns when it is older than the recording."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
