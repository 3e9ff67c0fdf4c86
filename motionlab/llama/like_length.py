"""A micro-batch in pieces of like length: the same rows and the same loss, with less padding.

Each row of a batch costs as much as the longest. Two or three pieces, each padded to its own longest row, cost less,
but every piece has a price of its own: small products use a processor worse, and each layer is called once more. With
that price known, the cheapest way to cut rows sorted by length follows from the cheapest ways to cut fewer of them:

    cost(j) = min over i < j of  cost(i) + (j - i) * length(j) + price

The mean losses of the pieces are added by what each is a mean over, so the gradient is that of the whole, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from motionlab.llama.objectives.losses import TokenLosses
from motionlab.llama.sequence import Sequences

PRICE_OF_A_PIECE = 150
"""In positions, on a CPU: a forward and a backward pass of the decoder of preset "tiny" take so much longer in two."""


def cut_like_length(batch: Sequences, price: int = PRICE_OF_A_PIECE) -> list[Sequences]:
    """The rows of a batch in pieces, the shortest rows first; a piece has the padding of its own longest row only.

    Args:
        batch: on any device.
        price: of a further piece, in positions.
    """
    lengths, order = batch.lengths.cpu().sort(stable=True)
    edges = cheapest_cuts(lengths.numpy(), price)
    if len(edges) == 2:
        return [batch]
    rows = order.to(batch.tokens.device)
    return [batch.select(rows[first:last]) for first, last in zip(edges, edges[1:], strict=False)]


def cheapest_cuts(lengths: np.ndarray, price: int) -> list[int]:
    """Where to cut rows of rising length, `[B]`: the first row of each piece, and B.

    >>> cheapest_cuts(np.array([10, 11, 12, 50, 52]), price=20)
    [0, 3, 5]
    """
    count = len(lengths)
    cost, begin = np.zeros(count + 1), np.zeros(count + 1, dtype=np.int64)
    for stop in range(1, count + 1):
        ways = cost[:stop] + (stop - np.arange(stop)) * lengths[stop - 1] + price  # [stop]: by the first row
        begin[stop] = ways.argmin()
        cost[stop] = ways[begin[stop]]
    edges = [count]
    while edges[-1] > 0:
        edges.append(int(begin[edges[-1]]))
    return edges[::-1]


def losses_of_pieces(
    pieces: list[Sequences], loss: Callable[[Sequences], TokenLosses], count: Callable[[Sequences], int]
) -> TokenLosses:
    """The mean losses over all pieces.

    Args:
        loss: of one piece, a mean.
        count: the tokens that it is a mean over.
    """
    counts = [count(piece) for piece in pieces]
    total = max(sum(counts), 1)
    parts = [loss(piece) for piece in pieces]

    def mean(values: list[Tensor]) -> Tensor:
        return torch.stack([value * (n / total) for value, n in zip(values, counts, strict=True)]).sum()

    return TokenLosses(mean([part.loss for part in parts]), mean([part.accuracy for part in parts]))
