"""The two real models, so small that a cell can train them: shared by lessons 09 and 10.

The motions are those of the composed corpus and the classes are those of the package. Only two parts are stand-ins, so
that no other lesson is needed first: the codes of a motion come from a fixed random projection instead of a trained
encoder (they follow the motion, so they can be predicted), and a caption is a row of fixed vectors, one per word.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.config import load_config
from motionlab.data.batches import WindowBatches
from motionlab.data.composed.corpus import build_corpus
from motionlab.data.splits import Clips
from motionlab.llama.model import MotionLlama
from motionlab.llama.sequence import SequenceBatches
from motionlab.motion.normalizer import Normalizer
from motionlab.quantizers.build import make_quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import levels_for
from motionlab.runtime import seeded
from motionlab.text.encoder import TextFeatures
from motionlab.tokenizer.model import MotionTokenizer

TEXT_DIM, MOST_WORDS = 16, 12


@dataclass(frozen=True)
class WordVectors:
    """A text source without a network: each word has a fixed random vector, the same in every process."""

    dim: int = TEXT_DIM

    def features(self, captions: Sequence[str]) -> TextFeatures:
        rows = [torch.stack([_word_vector(word, self.dim) for word in self._words(c)]) for c in captions]  # [W, dim]
        states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # [B, W, dim]
        counts = torch.tensor([len(row) for row in rows])
        return TextFeatures(states, torch.arange(states.shape[1]) < counts[:, None])

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        return [len(self._words(caption)) for caption in captions]

    @staticmethod
    def _words(caption: str) -> list[str]:
        return (caption.lower().split() or ["-"])[:MOST_WORDS]


@functools.cache
def _word_vector(word: str, dim: int) -> Tensor:
    return torch.randn(dim, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))


@functools.cache
def small_store(clips: int = 64) -> Clips:
    """Composed motions of at most 160 frames with their captions."""
    return build_corpus(load_config("ci", [f"corpus.n_train={clips}"]).corpus).train


@functools.cache
def small_normalizer(clips: int = 64) -> Normalizer:
    store = small_store(clips)
    return Normalizer.fit(store.features(i) for i in range(len(store)))


def small_tokenizer(seed: int = 0, *, codebook_size: int = 256, width: int = 32) -> MotionTokenizer:
    """A tokenizer of stage 1 with about 80,000 weights, four frames per token, not trained."""
    with seeded(seed):
        return MotionTokenizer(make_quantizer("fsq", codebook_size, 16), width=width, depth=1, down_t=2)


def window_batches(batch_size: int, *, window: int = 32, seed: int = 0) -> WindowBatches:
    """Normalised windows for stage 1: `batches(i)` is `[batch_size, window, 272]`."""
    return WindowBatches(small_store(), small_normalizer(), window, batch_size, seed)


@functools.cache
def small_codes(codebook_size: int = 256) -> tuple[Tensor, ...]:
    """The codes of every clip, int64 `[n]` each: every fourth frame, projected to a few numbers and rounded by FSQ."""
    store, normalizer, levels = small_store(), small_normalizer(), levels_for(codebook_size)
    with seeded(0):  # its linear maps are drawn and not used
        fsq = FSQ(levels, dim=len(levels))
    projection = torch.randn(272, len(levels), generator=torch.Generator().manual_seed(0)) / 272**0.5
    rows = [normalizer.normalize(store.features(i))[::4] @ projection for i in range(len(store))]  # [n, d] each
    return tuple(fsq.steps_to_indices(fsq.bound(1.5 * row).round()) for row in rows)


def small_decoder(seed: int = 0, *, codebook_size: int = 256, dim: int = 64, n_layer: int = 2) -> MotionLlama:
    """A decoder of stage 2, by default with about 130,000 weights, not trained."""
    with seeded(seed):
        return MotionLlama(
            _codes_of(codebook_size), n_layer=n_layer, n_head=2, dim=dim, text_dim=TEXT_DIM, max_length=128
        )


def sequence_batches(
    batch_size: int, *, seed: int = 0, codebook_size: int = 256, clips: Sequence[int] | None = None, per_step: int = 1
) -> SequenceBatches:
    """Captions and codes for stage 2: `batches(i)` is a `Sequences` of `batch_size` rows.

    Args:
        per_step: micro-batches of an optimizer step, whose rows are sorted by length together.
        clips: numbers of the clips to draw from; None is all 64.
    """
    store, codes = small_store(), small_codes(codebook_size)
    chosen = range(len(store)) if clips is None else clips
    return SequenceBatches(
        [codes[i] for i in chosen],
        [store.captions(i) for i in chosen],
        WordVectors(),
        codebook_size=_codes_of(codebook_size),
        batch_size=batch_size,
        seed=seed,
        per_step=per_step,
        max_length=128,
    )


def _codes_of(codebook_size: int) -> int:
    """How many codes FSQ has for a nominal size: 240 for 256, 64,000 for 65,536."""
    return math.prod(levels_for(codebook_size))
