"""Memory for batches that is used again as soon as nobody holds the batch any more.

A fresh tensor of some megabytes comes from the system page by page, and each page costs a fault and a fill with zeros:
for a batch of windows three times as much as filling it with numbers. So the block of a batch that is gone serves the
next one. Nobody has to say when: a tensor made from a numpy array holds that array until its last view is gone.
"""

from __future__ import annotations

import math
import weakref

import numpy as np
import torch
from torch import Tensor


class Buffers:
    """Uninitialised float32 tensors, whose memory comes from earlier ones that nobody holds any more.

    Safe for several threads. Only blocks of the size asked for last are kept.

    Args:
        most: blocks that are kept while they are not in use.

    >>> buffers = Buffers()
    >>> first = buffers.take(2, 3)
    >>> place, part = first.data_ptr(), first[0]
    >>> del first
    >>> buffers.take(2, 3).data_ptr() == place  # `part` still looks at it
    False
    >>> del part
    >>> buffers.take(2, 3).data_ptr() == place
    True
    """

    def __init__(self, most: int = 4) -> None:
        self.most, self._count = most, 0
        self._free: list[np.ndarray] = []

    def take(self, *shape: int) -> Tensor:
        """A tensor of this shape whose numbers are whatever was there before."""
        count = math.prod(shape)
        if count != self._count:
            self._count, self._free = count, []
        free = self._free
        try:
            block = free.pop()
        except IndexError:
            block = torch.empty(count).numpy()  # torch aligns its memory to whole cache lines
        view = block[:]
        weakref.finalize(view, self._give_back, free, block).atexit = False
        return torch.from_numpy(view).view(shape)

    def _give_back(self, free: list[np.ndarray], block: np.ndarray) -> None:
        if len(free) < self.most:
            free.append(block)
