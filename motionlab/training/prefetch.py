"""The next batch, made by a thread while the model works on this one.

Every batch is a pure function of its number, so what is made ahead is what would have been made later: a resumed run
does not need to know, and a batch that is not needed is simply dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Prefetch(Generic[Batch]):
    """`batches(number)`, with the next one already in preparation.

    Only one batch is made at any time, so `batches` need not be ready for several threads, as long as all callers ask
    here.

    Args:
        batches: a pure function of the number.
        stride: from one number to the next; the number of processes, when several share the batches.

    >>> ahead = Prefetch(lambda number: number * number)
    >>> [ahead(number) for number in (3, 4, 5, 1)]
    [9, 16, 25, 1]
    """

    def __init__(self, batches: Callable[[int], Batch], stride: int = 1) -> None:
        self.batches, self.stride = batches, stride
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="next batch")
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, number: int) -> Batch:
        """The batch; an error while it was made is raised here, when it is needed."""
        if self._next is not None and self._next[0] == number:
            batch = self._next[1].result()
        else:
            batch = self._thread.submit(self.batches, number).result()  # after what is on its way
        self._next = number + self.stride, self._thread.submit(self.batches, number + self.stride)
        return batch
