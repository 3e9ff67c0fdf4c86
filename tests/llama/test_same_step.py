"""One optimizer step of a decoder, cut in every way: the same gradient, with every strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from motionlab.llama.like_length import cut_like_length, losses_of_pieces
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.strategies import (
    MaskedModelling,
    RandomReplacement,
    ScheduledSampling,
    Strategy,
    TeacherForcing,
)
from motionlab.llama.sequence import SequenceBatches, Sequences
from motionlab.text.encoder import TextFeatures
from motionlab.training.micro_batches import read_group

Make = Callable[..., MotionLlama]
K, EFFECTIVE = 20, 16
STRATEGIES: list[Strategy] = [
    TeacherForcing(0.1),
    RandomReplacement(0.6),
    RandomReplacement(0.2, "batch"),
    RandomReplacement(0.2, "sample"),
    ScheduledSampling(0.5, "batch"),
    MaskedModelling(),
]


class Texts:
    """One vector per word, drawn from the caption."""

    def features(self, captions: Sequence[str]) -> TextFeatures:
        words = [text.split() for text in captions]
        rows = [
            [torch.randn(6, generator=torch.Generator().manual_seed(hash_of(word))) for word in row] for row in words
        ]
        return TextFeatures.from_rows([torch.stack(row) for row in rows])

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in captions]


def hash_of(word: str) -> int:
    return sum(ord(letter) * 31**place for place, letter in enumerate(word))


def gradient(
    model: MotionLlama, strategy: Strategy, batch_size: int, per_step: int, pieces: int, price: int
) -> tuple[Tensor, int]:
    """The gradient of the second step, which crosses the end of an epoch, and the items it is a mean over."""
    random = torch.Generator().manual_seed(0)
    codes = [torch.randint(K, (int(n),), generator=random) for n in torch.randint(2, 40, (23,), generator=random)]
    captions = [[f"clip {clip}", f"clip {clip} in other words"] for clip in range(23)]
    batches = SequenceBatches(
        codes, captions, Texts(), codebook_size=K, batch_size=batch_size, per_step=per_step, seed=3, max_length=80,
        edge_drop=0.5, text_drop=0.3,
    )  # fmt: skip

    def count(batch: Sequences) -> int:
        return strategy.count(batch, K)

    model.zero_grad()
    group = read_group(batches, count, per_step, per_step, pieces)
    for batch, share, _ in group:
        parts = [batch] if price < 0 else cut_like_length(batch, price)
        (losses_of_pieces(parts, lambda part: strategy(model, part), count).loss * share).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), group.items


@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_every_factorisation_gives_the_same_gradient(make_model: Make, strategy: Strategy) -> None:
    model = make_model(mask_token=True)
    whole, items = gradient(model, strategy, EFFECTIVE, 1, pieces=1, price=-1)
    assert float(whole.abs().max()) > 1e-2
    # Micro-batches (of one process or of several, which share them out), pieces after too little memory, pieces of
    # like length, and two of these together.
    for batch_size, per_step, pieces, price in (
        (8, 2, 1, -1), (2, 8, 1, -1), (1, 16, 1, -1), (16, 1, 4, -1), (16, 1, 1, 5), (4, 4, 2, 0),
    ):  # fmt: skip
        other, count = gradient(model, strategy, batch_size, per_step, pieces, price)
        assert count == items
        torch.testing.assert_close(other, whole, rtol=0, atol=1e-5)
