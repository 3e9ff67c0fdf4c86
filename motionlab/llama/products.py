"""`x @ weight.T` for few rows of `x` on a CPU, where the time goes into reading the weight.

A general product sorts a weight into buffers first, which pays when many rows use it. For 2 to 16 rows it is faster to
take 32 rows of the weight at a time: each block is read once, in order, and its results fit in registers. With weights
that come from memory, 8 rows took a half to two thirds of the time of one large product. One row is best served by one
product with the transposed weight. Either form is made, as a copy, when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

ROWS = 32
"""Of a weight in one block; 16 to 48 were equally fast."""


class Target:
    """Where a product writes: rows `[B, outputs]`, and the same memory as blocks `[n, B, ROWS]` and what is left."""

    def __init__(self, rows: Tensor) -> None:
        batch, blocked = len(rows), rows.shape[1] // ROWS * ROWS
        self.rows, self.rest = rows, rows[:, blocked:]
        self.blocks = rows[:, :blocked].unflatten(1, (-1, ROWS)).transpose(0, 1)
        # The fast kernel writes blocks one behind the other.
        self.scratch = rows.new_empty(blocked // ROWS, batch if batch > 1 else 0, ROWS)


class Product:
    """A weight of shape `[outputs, inputs]`, given by a function that makes it.

    >>> target = Target(torch.zeros(2, 40))
    >>> Product((40, 3), lambda: torch.ones(40, 3))(torch.ones(2, 3), target)
    >>> target.rows.unique()
    tensor([3.])
    """

    def __init__(self, shape: tuple[int, int], weight: Callable[[], Tensor]) -> None:
        self.outputs, self.inputs = shape
        self.weight = weight

    @cached_property
    def transposed(self) -> Tensor:
        """`[inputs, outputs]`, for one row."""
        return _copy(self.weight().T)

    @cached_property
    def in_blocks(self) -> tuple[Tensor, Tensor]:
        """For several rows: `[n, inputs, ROWS]`, and `[inputs, outputs - n * ROWS]` for what is left."""
        weight, blocked = self.weight(), self.outputs // ROWS * ROWS
        blocks = weight[:blocked].unflatten(0, (-1, ROWS)).transpose(1, 2)
        return _copy(blocks), _copy(weight[blocked:].T)

    def __call__(self, x: Tensor, target: Target, *, factor: float = 1.0, add: bool = False) -> None:
        """Write `factor * x @ weight.T` over the target, or add it; `x` is `[B, inputs]`."""
        if len(x) == 1:
            torch.addmm(target.rows, x, self.transposed, beta=float(add), alpha=factor, out=target.rows)
            return
        blocks, rest = self.in_blocks
        if rest.shape[1]:
            torch.addmm(target.rest, x, rest, beta=float(add), alpha=factor, out=target.rest)
        many = x.expand(len(blocks), -1, -1)  # [n, B, inputs]
        torch.baddbmm(target.scratch, many, blocks, beta=0.0, alpha=factor, out=target.scratch)  # [n, B, ROWS]
        if add:
            target.blocks.add_(target.scratch)
        else:
            target.blocks.copy_(target.scratch)


@torch.no_grad()
@torch.inference_mode(False)  # a copy outlives the call, and inference tensors cannot be used everywhere
def _copy(view: Tensor) -> Tensor:
    return view.clone(memory_format=torch.contiguous_format)
