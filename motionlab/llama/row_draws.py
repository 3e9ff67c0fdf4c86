"""Random numbers of rows: each row draws from a seed of its own, whatever batch it is in.

One optimizer step can see its rows as 32 x 1, as 8 x 4, in two processes or in smaller pieces. The gradient is the same
only if everything that is drawn belongs to the row. With one generator for a batch, the numbers of a row would depend
on its place in the batch, on the rows before it and on the width of the padding.

A number is a hash of (seed of the row, how many draws came before, column), so nothing is drawn in any order, and the
whole batch is one expression.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motionlab.runtime import check_seed, scramble


def row_seeds(seed: int, rows: np.ndarray, purpose: int) -> np.ndarray:
    """A seed for each row: uint64 `[B]`, a pure function of the three.

    Args:
        seed: of the run.
        rows: `[B]` numbers of rows, 0 or more.
        purpose: a small number; the numbers of one purpose tell nothing about those of another.

    >>> bool((row_seeds(4, np.array([7, 2]), 0)[1:] == row_seeds(4, np.array([2]), 0)).all())
    True
    """
    base = scramble((scramble(check_seed(seed)) + purpose) % 2**64)
    return np.asarray(scramble(np.asarray(rows, dtype=np.uint64) + np.uint64(base)))


class RowDraws:
    """Uniform numbers for the rows of a batch. Every call draws anew, as a generator does.

    Args:
        seeds: int64 `[B]`, one for each row.
        shared: the seed of what all rows of an optimizer step have in common.

    >>> both, one = RowDraws(torch.tensor([5, 6])), RowDraws(torch.tensor([6]))
    >>> bool((both.uniform(9)[1, :4] == one.uniform(4)[0]).all())  # the same row, in another batch
    True
    """

    def __init__(self, seeds: Tensor, shared: int = 0) -> None:
        self._seeds, self._shared = seeds.cpu().numpy().view(np.uint64), np.array([shared], dtype=np.uint64)
        self._calls = 0

    def uniform(self, columns: int, *, shared: bool = False) -> Tensor:
        """Numbers in [0, 1): float64 `[B, columns]` on the CPU, or `[1, columns]` that are the same for all rows."""
        self._calls += 1
        first = scramble((self._shared if shared else self._seeds) + np.uint64(self._calls))  # [B]
        places = np.arange(columns, dtype=np.uint64)
        numbers = np.asarray(scramble(first[:, None] + places), dtype=np.uint64)  # [B, columns]
        return torch.from_numpy((numbers >> 11) * 2.0**-53)
