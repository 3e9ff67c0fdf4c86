"""Many clips at once: batches of like length, padded to the longest, and cut apart again.

A loop over single clips leaves a GPU, and on small models a CPU, waiting for Python. Clips are sorted by length first,
so little of a batch is padding, and the mask of `MotionTokenizer` gives each clip what it would have got alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError

if TYPE_CHECKING:
    from motionlab.tokenizer.model import MotionTokenizer


@torch.no_grad()
def encode_clips(model: MotionTokenizer, clips: Sequence[Tensor], batch_size: int = 64) -> list[Tensor]:
    """`[T_i, F]` each to indices `[ceil(T_i / r)]` each."""
    for i, clip in enumerate(clips):
        if clip.ndim != 2 or clip.shape[1] != model.input_dim or len(clip) == 0:
            raise InputError(
                f"clip {i}",
                found=f"shape {tuple(clip.shape)}",
                expected=f"(T, {model.input_dim}) with T >= 1",
                fix="Give one normalised motion a clip.",
            )
    return _together(clips, batch_size, model, model.encode, model.token_count, multiple=model.frames_per_token)


@torch.no_grad()
def decode_clips(model: MotionTokenizer, tokens: Sequence[Tensor], batch_size: int = 64) -> list[Tensor]:
    """Indices `[N_i]` each to normalised motion `[N_i * r, F]` each."""
    for i, row in enumerate(tokens):
        if row.ndim != (1 if model.n_codebooks == 1 else 2) or len(row) == 0:
            raise InputError(
                f"tokens {i}",
                found=f"shape {tuple(row.shape)}",
                expected="(N,) with N >= 1" if model.n_codebooks == 1 else f"(N, {model.n_codebooks}) with N >= 1",
                fix="Give one sequence of tokens a clip.",
            )
    return _together(tokens, batch_size, model, model.decode, lambda n: n * model.frames_per_token)


def _together(
    rows: Sequence[Tensor],
    batch_size: int,
    model: MotionTokenizer,
    convert: Callable[[Tensor, Tensor | None], Tensor],
    length_of: Callable[[int], int],
    multiple: int = 1,
) -> list[Tensor]:
    """Convert rows of different lengths in batches whose length is a `multiple`.

    Args:
        length_of: the length of the result for that of a row.
    """
    device = next(model.parameters()).device
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
