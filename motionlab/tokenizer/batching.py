"""Many clips at once: batches of like length, padded to the longest, and cut apart again.

A loop over single clips leaves a GPU, and on small models a CPU, waiting for Python. Clips are sorted by length first,
so little of a batch is padding, and the mask of `MotionTokenizer` gives each clip the same result as alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from motionlab.errors import InputError


def check_rows(name: str, rows: Sequence[Tensor], width: tuple[int, ...], expected: str, fix: str) -> None:
    """Raise `InputError` for the first row that is not `[n, *width]` with n >= 1, with its number."""
    for i, row in enumerate(rows):
        if row.ndim == 0 or row.shape[1:] != width or len(row) == 0:
            raise InputError(f"{name} {i}", found=f"shape {tuple(row.shape)}", expected=expected, fix=fix)


@torch.no_grad()
def convert_together(
    rows: Sequence[Tensor],
    convert: Callable[[Tensor, Tensor | None], Tensor],
    length_of: Callable[[int], int],
    *,
    device: torch.device,
    batch_size: int,
    multiple: int = 1,
) -> list[Tensor]:
    """Convert rows `[n_i, ...]` of different lengths in batches.

    Args:
        convert: from a batch `[B, n, ...]` and its mask `[B, n]` (None when no row is padded) to the results.
        length_of: the length of the result for that of a row.
        device: where the batches are converted.
        multiple: that the length of each batch must be.
    """
    result: dict[int, Tensor] = {}
    for group in _groups([len(row) for row in rows], batch_size):
        lengths = [len(rows[i]) for i in group]
        longest = -(-lengths[-1] // multiple) * multiple
        batch = rows[group[0]].new_empty(len(group), longest, *rows[group[0]].shape[1:])  # [B, longest, ...]
        for place, i in enumerate(group):
            batch[place, : len(rows[i])] = rows[i]
            batch[place, len(rows[i]) :] = rows[i][-1]
        batch, mask = batch.to(device), None
        if lengths[0] < longest:
            mask = torch.arange(longest, device=device) < torch.tensor(lengths, device=device).unsqueeze(1)
        for i, converted in zip(group, convert(batch, mask), strict=True):
            result[i] = converted[: length_of(len(rows[i]))].clone()  # a view would keep the padding alive
    return [result[i] for i in range(len(rows))]


def _groups(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Positions of `lengths`, shortest first, in groups of `batch_size`."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
