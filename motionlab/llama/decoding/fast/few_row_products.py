"""`x @ weight.T` for few rows of `x` on a CPU, where the time goes into reading the weight.

A general product sorts a weight into buffers first, which pays when many rows use it. For 2 to 16 rows it is faster to
take 32 rows of the weight at a time: each block is read once, in order, and its results fit in registers. With weights
that come from memory, 8 rows took a half to two thirds of the time of one large product. One row is best served by one
product with the transposed weight. Either form is made, as a copy, when it is first needed.

Making a view or starting a kernel costs microseconds, a tenth of a product. So as much as possible is prepared: a
`Source` keeps the views that products read, a `Target` those that they write, and the division that a norm asks for is
part of writing the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

ROWS = 32
"""Of a weight in one block; 16 to 48 were equally fast."""


class Source:
    """The input of products: rows `[B, inputs]`, whose numbers may change between two products."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._repeated: dict[int, Tensor] = {}

    def repeated(self, times: int) -> Tensor:
        """The same memory for each block of a weight: `[times, B, inputs]`."""
        if times not in self._repeated:
            self._repeated[times] = self.rows.expand(times, -1, -1)
        return self._repeated[times]


class Target:
    """Where a product writes: rows `[B, outputs]`, and the same memory as blocks `[n, B, ROWS]` if it is used so."""

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.in_blocks = rows, len(rows) > 1 and rows.shape[1] % ROWS == 0
        if self.in_blocks:
            self.blocks = rows.unflatten(1, (-1, ROWS)).transpose(0, 1)
            # The fast kernel writes blocks one behind the other.
            self.scratch = rows.new_empty(self.blocks.shape)


class Product:
    """A weight of shape `[outputs, inputs]`, given by a function that makes it.

    >>> target = Target(torch.zeros(2, 64))
    >>> Product((64, 3), lambda: torch.ones(64, 3)).write(Source(torch.ones(2, 3)), target)
    >>> target.rows.unique()
    tensor([3.])
    """

    def __init__(self, shape: tuple[int, int], weight: Callable[[], Tensor]) -> None:
        self.outputs, self.inputs = shape
        self.weight = weight

    @cached_property
    def transposed(self) -> Tensor:
        """`[inputs, outputs]`, for one row, and for outputs that make no whole blocks."""
        return _copy(self.weight().T)

    @cached_property
    def blocks(self) -> Tensor:
        """For several rows: `[n, inputs, ROWS]`."""
        return _copy(self.weight().unflatten(0, (-1, ROWS)).transpose(1, 2))

    def write(self, source: Source, target: Target, divisor: Tensor | float = 1.0) -> None:
        """Write `x @ weight.T / divisor` over the target; `x` is `[B, inputs]`, the divisor `[B, 1]` or one number."""
        if target.in_blocks:
            self._in_blocks(source, target)
            torch.div(target.scratch, divisor, out=target.blocks)
        elif isinstance(divisor, float):
            torch.addmm(target.rows, source.rows, self.transposed, beta=0.0, alpha=1.0 / divisor, out=target.rows)
        else:
            torch.mm(source.rows / divisor, self.transposed, out=target.rows)

    def add(self, source: Source, target: Target) -> None:
        """Add `x @ weight.T` to the target."""
        if target.in_blocks:
            self._in_blocks(source, target)
            target.blocks.add_(target.scratch)
        else:
            torch.addmm(target.rows, source.rows, self.transposed, out=target.rows)

    def _in_blocks(self, source: Source, target: Target) -> None:
        torch.bmm(source.repeated(len(self.blocks)), self.blocks, out=target.scratch)  # [n, B, ROWS]


@torch.no_grad()
@torch.inference_mode(False)  # a copy outlives the call, and inference tensors cannot be used everywhere
def _copy(view: Tensor) -> Tensor:
    return view.clone(memory_format=torch.contiguous_format)
