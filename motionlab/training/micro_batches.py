"""The micro-batches of one optimizer step, and their shares of its gradient.

With n_i items in micro-batch i and N = sum n_i, the mean loss over the group is sum_i (n_i / N) loss_i, where loss_i is
the mean over micro-batch i. Weighting each loss by n_i / N before its backward pass therefore gives the gradient of
one big batch, also when the last micro-batch is short. (Dividing by the number of micro-batches does not.)
For the same reason a micro-batch may be cut into pieces when memory is short: the shares change, their sum does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from motionlab.errors import InputError
from motionlab.training.distributed import World


@dataclass
class Group:
    """Micro-batches, and what each of them counts."""

    batches: list[Any]
    counts: list[int]
    micro_step: int  # number of the first one: the place in the data
    items: int  # N; over all processes when there are several

    def __iter__(self) -> Iterator[tuple[Any, float, bool]]:
        """Each batch with its share n_i / N, and whether it is the last one."""
        for i, (batch, n) in enumerate(zip(self.batches, self.counts, strict=True)):
            yield batch, n / self.items, i + 1 == len(self.batches)


def read_group(
    batches: Callable[[int], Any],
    count: Callable[[Any], int],
    micro_step: int,
    size: int,
    pieces: int = 1,
    world: World = World(),  # noqa: B008 (frozen)
) -> Group:
    """Read micro-batches `micro_step` to `micro_step + size - 1`, each cut into `pieces`.

    With several processes, `size` is what each of them reads: every `world.size`-th one.

    Raises:
        InputError: there is nothing in them to learn from. A mean over nothing has no gradient.
    """
    group = [batches(number) for number in world.numbers(micro_step, size)]
    if pieces > 1:
        group = [piece for batch in group for piece in split_rows(batch, pieces)]
    counts = [count(batch) for batch in group]
    if pieces > 1:  # rows without a label: no gradient, and a mean over nothing would be nan
        kept = [i for i, n in enumerate(counts) if n > 0]
        group, counts = [group[i] for i in kept], [counts[i] for i in kept]
    items = int(world.sum([sum(counts)])[0])
    if items <= 0:
        raise InputError(
            f"micro-batches from {micro_step}",
            found=f"{items} items to learn from",
            expected="at least one (a clip, or a token that is not padding)",
            fix="Leave empty clips out of the data; the last checkpoint is unchanged.",
        )
    return Group(group, counts, micro_step, items)


def split_rows(batch: Any, pieces: int) -> list[Any]:
    """Cut a batch along its first dimension into at most `pieces` parts of nearly equal size.

    A batch is a tensor, or a tuple, list, dict or dataclass of tensors with the same first dimension. A batch whose
    step draws random numbers should hold a tensor of seeds, one per row: then a row draws the same in every piece.

    >>> [len(part) for part in split_rows(torch.zeros(7, 2), 3)]
    [3, 2, 2]

    Raises:
        InputError: rows cannot be found in it.
    """
    rows = rows_of(batch)
    pieces = min(pieces, rows)
    edges = [i * (rows // pieces) + min(i, rows % pieces) for i in range(pieces + 1)]
    return [_cut(batch, first, last) for first, last in zip(edges, edges[1:], strict=False)]


def rows_of(batch: Any) -> int:
    """The first dimension that all tensors of a batch share."""
    sizes = {tensor.shape[0] if tensor.ndim else 0 for tensor in tensors_of(batch).values()}
    if len(sizes) != 1 or sizes == {0}:
        raise InputError(
            "batch",
            found=f"{type(batch).__name__} with {sorted(sizes) or 'no'} rows",
            expected="tensors with the same first dimension",
            fix="Lower batch_size and raise grad_accum_steps by hand: this batch cannot be cut.",
        )
    return sizes.pop()


def tensors_of(batch: Any, name: str = "batch") -> dict[str, torch.Tensor]:
    """Every tensor within a batch, under a name that says where it is.

    >>> list(tensors_of({"x": torch.zeros(2), "y": (torch.ones(2), 3)}))
    ['batch.x', 'batch.y.0']
    """
    if isinstance(batch, torch.Tensor):
        return {name: batch}
    found: dict[str, torch.Tensor] = {}
    for key, value in _parts(batch).items():
        found |= tensors_of(value, f"{name}.{key}")
    return found


def _parts(batch: Any) -> Mapping[Any, Any]:
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    if isinstance(batch, Mapping):
        return batch
    return dict(enumerate(batch)) if isinstance(batch, (tuple, list)) else {}


def _cut(value: Any, first: int, last: int) -> Any:
    if isinstance(value, torch.Tensor):
        return value[first:last]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {name: _cut(part, first, last) for name, part in _parts(value).items()}
        return dataclasses.replace(value, **parts)
    if isinstance(value, Mapping):
        return {key: _cut(part, first, last) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts_list = [_cut(part, first, last) for part in value]
        return type(value)(*parts_list) if hasattr(value, "_fields") else type(value)(parts_list)
    return value
