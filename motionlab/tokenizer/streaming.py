"""A clip that never ends: encode frames as they arrive, decode tokens as they are written.

Only causal convolutions can do this, and then exactly: each one keeps the last frames of its own input (`Stream`), so
nothing is computed twice and nothing waits for the future. A token comes out as soon as its last frame is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.tokenizer.border import Stream

if TYPE_CHECKING:
    from motionlab.tokenizer.model import MotionTokenizer


def encode_stream(model: MotionTokenizer, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Chunks `[B, t, F]` of any lengths to indices `[B, n]`; a rest of less than a token comes out at the end."""
    _check_causal(model)
    return _encode(model, chunks)


def decode_stream(model: MotionTokenizer, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Chunks of indices `[B, n]` to normalised motion `[B, n * r, F]`."""
    _check_causal(model)
    return _decode(model, chunks)


def _encode(model: MotionTokenizer, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    stream, r = Stream(), model.frames_per_token
    waiting: Tensor | None = None  # [B, less than r, F]
    for chunk in chunks:
        model.check_motion(chunk)
        _check_batch(chunk, waiting)
        frames = chunk if waiting is None else torch.cat([waiting, chunk], dim=1)
        whole = frames.shape[1] // r * r
        waiting = frames[:, whole:]
        if whole:
            yield _tokens(model, frames[:, :whole], stream)
    if waiting is not None and waiting.shape[1]:
        rest = waiting[:, -1:].expand(-1, r - waiting.shape[1], -1)  # as for a whole clip: its last frame is repeated
        yield _tokens(model, torch.cat([waiting, rest], dim=1), stream)


def _decode(model: MotionTokenizer, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    stream = Stream()
    before: Tensor | None = None
    for indices in chunks:
        model.check_tokens(indices)
        _check_batch(indices, before)
        before = indices
        yield _motion(model, indices, stream)


@torch.no_grad()
def _tokens(model: MotionTokenizer, frames: Tensor, stream: Stream) -> Tensor:
    with model.evaluating():
        return model.quantizer(model.encoder(frames, stream)).indices


@torch.no_grad()
def _motion(model: MotionTokenizer, indices: Tensor, stream: Stream) -> Tensor:
    with model.evaluating():
        motion: Tensor = model.decoder(model.quantizer.indices_to_codes(indices), stream)
    return motion


def _check_causal(model: MotionTokenizer) -> None:
    if not model.causal:
        raise InputError(
            "tokenizer",
            found="causal=False",
            expected="a causal tokenizer",
            fix="Train one with causal=True; the others need frames that have not come yet.",
        )


def _check_batch(chunk: Tensor, before: Tensor | None) -> None:
    if before is not None and len(chunk) != len(before):
        raise InputError(
            "chunk",
            found=f"{len(chunk)} clips",
            expected=f"{len(before)} as in the chunk before",
            fix="A stream keeps its batch; begin a new one for other clips.",
        )
