"""Laying out batches: the layout, the labels, and batch i as a pure function of (seed, i)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.sequence import IGNORE, SequenceBatches, Sequences, build_sequences
from motionlab.text.encoder import TextFeatures

K = 50


class WordCount:
    """A text source: one slot per word; the features are the number of the caption."""

    def features(self, captions: Sequence[str]) -> TextFeatures:
        return TextFeatures.from_rows([torch.full((len(text.split()), 3), float(text.split()[0])) for text in captions])

    def token_counts(self, captions: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in captions]


def make_batches(count: int = 70, **changes: object) -> SequenceBatches:
    random = np.random.default_rng(0)
    codes = [torch.full((int(length),), row % K) for row, length in enumerate(random.integers(5, 70, count))]
    captions = [[f"{row}", f"{row} and more", f"{row} and even more"] for row in range(count)]
    arguments: dict[str, object] = {"codebook_size": K, "batch_size": 8, "seed": 4}
    return SequenceBatches(codes, captions, WordCount(), **{**arguments, **changes})  # type: ignore[arg-type]


def equal(a: Sequences, b: Sequences) -> bool:
    parts = ("tokens", "labels", "text", "text_mask")
    return a.seed == b.seed and all(torch.equal(getattr(a, part), getattr(b, part)) for part in parts)


def clips(batch: Sequences) -> list[int]:
    """Which clips are in a batch, read back from their text features."""
    return [int(value) for value in batch.text[:, 0, 0]]


def test_layout() -> None:
    text = TextFeatures.from_rows([torch.ones(1, 3), torch.ones(4, 3)])
    batch = build_sequences([torch.tensor([7, 8, 9]), torch.tensor([5])], text, codebook_size=K)
    end, pad, no = K, K + 1, IGNORE
    assert batch.tokens.tolist() == [[pad, 7, 8, 9, end, pad], [pad, pad, pad, pad, 5, end]]
    assert batch.labels.tolist() == [[7, 8, 9, end, no, no], [no, no, no, 5, end, no]]
    assert batch.n_labels == 6 and len(batch) == 2


def test_limits_and_foreign_codes() -> None:
    text = TextFeatures.from_rows([torch.ones(4, 3)])
    build_sequences([torch.zeros(5, dtype=torch.long)], text, K, max_length=10)
    with pytest.raises(InputError, match="found 11 positions.*at most 10"):
        build_sequences([torch.zeros(6, dtype=torch.long)], text, K, max_length=10)
    for wrong in (-1, K):
        with pytest.raises(InputError, match=f"expected 0 to {K - 1}"):
            build_sequences([torch.tensor([3, wrong])], text, K)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    batches, again = make_batches(edge_drop=0.5, text_drop=0.5), make_batches(edge_drop=0.5, text_drop=0.5)
    numbers = [0, 3, 25, 11, 3, 140]
    first = {number: batches(number) for number in numbers}
    for number in reversed(numbers):  # another order of asking, as after a resume
        assert equal(first[number], again(number))
    assert len({batch.seed for batch in first.values()}) == 5  # batch 3 was requested twice
    assert not equal(first[0], make_batches(seed=5, edge_drop=0.5, text_drop=0.5)(0))


def test_every_epoch_visits_every_clip_once_in_a_new_order() -> None:
    batches = make_batches()
    assert batches.batches_per_epoch == 9
    orders = [[clips(batches(epoch * 9 + at)) for at in range(9)] for epoch in range(3)]
    for order in orders:
        assert sorted(row for batch in order for row in batch) == list(range(70))
        assert sorted(len(batch) for batch in order) == [6] + [8] * 8
    assert orders[0] != orders[1] != orders[2]


def test_captions_are_drawn_anew() -> None:
    batches = make_batches(count=8)
    seen = {
        tuple(sorted(zip(clips(batch), batch.text_mask.sum(1).tolist(), strict=True)))
        for batch in map(batches, range(6))
    }
    assert len(seen) == 6
    assert {length for epoch in seen for _, length in epoch} == {1, 3, 4}


def test_similar_lengths_share_a_batch() -> None:
    def waste(pool: int) -> float:
        batches = make_batches(count=400, pool=pool)
        parts = [batches(number) for number in range(batches.batches_per_epoch)]
        real = sum(int(part.text_mask.sum() + (part.tokens <= K).sum()) for part in parts)
        return 1 - real / sum(part.tokens.numel() for part in parts)

    assert waste(pool=1) > 0.2
    assert waste(pool=16) < 0.05


def test_edge_drop() -> None:
    row = torch.arange(10)
    batches = SequenceBatches([row], [["0"]], WordCount(), codebook_size=K, batch_size=1, seed=0, edge_drop=1 / 3)
    seen = [tuple(batch.labels[batch.labels != IGNORE].tolist()[:-1]) for batch in map(batches, range(300))]
    kinds = {tuple(range(10)): 0, tuple(range(1, 10)): 0, tuple(range(9)): 0}
    for one in seen:
        kinds[one] += 1
    whole, head, tail = kinds.values()
    assert 170 < whole < 230 and 30 < head < 70 and 30 < tail < 70


def test_a_clip_that_does_not_fit_is_named_before_the_first_batch() -> None:
    codes = [torch.arange(10), torch.arange(30)]
    given: dict[str, Any] = {"codebook_size": K, "batch_size": 1, "seed": 0}
    SequenceBatches(codes, [["0"], ["1", "1 and more"]], WordCount(), **given, max_length=34)
    told = r"^clip 1: found 34 positions \(3 text, 30 codes, END\), expected at most 33\. .* raise max_length to 34"
    with pytest.raises(InputError, match=told):
        SequenceBatches(codes, [["0"], ["1", "1 and more"]], WordCount(), **given, max_length=33)


def test_every_caption_is_encoded_before_training() -> None:
    class Counting(WordCount):
        asked: list[list[str]] = []

        def token_counts(self, captions: Sequence[str]) -> list[int]:
            self.asked.append(list(captions))
            return super().token_counts(captions)

    captions = [["1 a", "1 b"], ["2", "1 a"]]
    SequenceBatches([torch.zeros(3)] * 2, captions, Counting(), codebook_size=K, batch_size=2, seed=0)
    assert Counting.asked == [["1 a", "1 b", "2"]]


def test_dropped_texts_are_one_slot_of_zeros() -> None:
    clean, dropped = make_batches(), make_batches(text_drop=0.4)
    count = lost = 0
    for number in range(20):
        one, other = clean(number), dropped(number)
        for row in range(len(one)):
            width, new_width = int(one.text_mask[row].sum()), int(other.text_mask[row].sum())
            if not one.text[row, 0].any():
                continue  # the features of clip 0 are zeros
            gone = not other.text[row, :new_width].any()
            count, lost = count + 1, lost + gone
            assert new_width == (1 if gone else width)
            codes, same = (batch.labels[row][batch.labels[row] != IGNORE] for batch in (one, other))
            assert torch.equal(codes, same), "the motion stays"
    assert 0.3 < lost / count < 0.5


def test_an_empty_batch() -> None:
    with pytest.raises(InputError, match="an empty batch"):
        build_sequences([], TextFeatures(torch.zeros(0, 2, 3), torch.zeros(0, 2, dtype=torch.bool)), K)


def test_the_seed_goes_with_the_batch() -> None:
    batch = make_batches()(3)
    assert batch.seed and batch.to("cpu").seed == batch.seed
    draws = [torch.rand(3, generator=batch.generator()) for _ in range(2)]
    assert torch.equal(*draws)


def test_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="codes of 0 clips"):
        SequenceBatches([], [], WordCount(), codebook_size=K, batch_size=2, seed=0)
    with pytest.raises(InputError, match="captions of 1"):
        SequenceBatches([torch.zeros(3)] * 2, [["a"]], WordCount(), codebook_size=K, batch_size=2, seed=0)


def test_captions_are_read_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting their slots reads them in blocks; an order of an epoch reads none, and a batch its own."""

    class Reading(Sequence[list[str]]):
        read: list[Any] = []

        def __len__(self) -> int:
            return 70

        def __getitem__(self, index: Any) -> Any:
            self.read.append(index)
            return in_memory.captions[index]

    monkeypatch.setattr("motionlab.llama.sequence._BLOCK", 16)
    in_memory, given = make_batches(), {"codebook_size": K, "batch_size": 8, "seed": 4}
    batches = SequenceBatches(in_memory.codes, Reading(), WordCount(), **given)
    assert Reading.read == [slice(start, start + 16) for start in range(0, 70, 16)]
    for number in (0, 7, 20):
        Reading.read.clear()
        assert equal(batches(number), in_memory(number))
        assert len(Reading.read) == len(in_memory(number))
