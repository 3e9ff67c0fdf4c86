"""A clip that never ends: encode frames as they arrive, decode tokens as they are written.

Only causal convolutions can do this, and then exactly: each one keeps the last frames of its input (`Stream`), so
nothing is computed twice and nothing waits for the future. A token comes out as soon as its last frame is in. This file
cuts the stream into pieces that a tokenizer can take, and knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from motionlab.errors import InputError


def whole_tokens(chunks: Iterable[Tensor], frames_per_token: int, check: Callable[[Tensor], None]) -> Iterator[Tensor]:
    """Cut chunks `[B, t, F]` of any lengths again, so that each holds whole tokens: `[B, n * r, F]`.

    A rest of less than a token comes out at the end, filled with its last frame as a whole clip is.

    Args:
        frames_per_token: r.
        check: raises for a chunk that the tokenizer cannot take.
    """
    r = frames_per_token
    waiting: Tensor | None = None  # [B, less than r, F]
    for chunk in same_batch(chunks, check):
        frames = chunk if waiting is None else torch.cat([waiting, chunk], dim=1)
        whole = frames.shape[1] // r * r
        waiting = frames[:, whole:]
        if whole:
            yield frames[:, :whole]
    if waiting is not None and waiting.shape[1]:
        rest = waiting[:, -1:].expand(-1, r - waiting.shape[1], -1)
        yield torch.cat([waiting, rest], dim=1)


def same_batch(chunks: Iterable[Tensor], check: Callable[[Tensor], None]) -> Iterator[Tensor]:
    """The chunks as they are, each checked, and all with as many clips B as the first.

    Raises:
        InputError: a chunk has another number of clips than the one before.
    """
    clips: int | None = None
    for chunk in chunks:
        check(chunk)
        if clips is not None and len(chunk) != clips:
            raise InputError(
                "chunk",
                found=f"{len(chunk)} clips",
                expected=f"{clips} as in the chunk before",
                fix="A stream keeps its batch; begin a new one for other clips.",
            )
        clips = len(chunk)
        yield chunk
