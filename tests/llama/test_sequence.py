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
    parts = ("tokens", "labels", "text", "text_mask", "seeds")
    return a.step_seed == b.step_seed and all(torch.equal(getattr(a, part), getattr(b, part)) for part in parts)


def row_contents(batch: Sequences) -> dict[int, tuple[object, ...]]:
    """All that each row holds, without padding, by its seed."""
    assert batch.seeds is not None
    return {
        int(batch.seeds[row]): (
            tuple(batch.labels[row][batch.labels[row] != IGNORE].tolist()),
            tuple(batch.text[row][batch.text_mask[row]].flatten().tolist()),
            batch.step_seed,
        )
        for row in range(len(batch))
    }


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
    seeds = torch.cat([batch.seeds for number, batch in sorted(first.items()) if batch.seeds is not None])
    assert len(first) == 5 and len(set(seeds.tolist())) == 5 * 8  # no two rows draw the same
    assert not equal(first[0], make_batches(seed=5, edge_drop=0.5, text_drop=0.5)(0))


def test_every_epoch_visits_every_clip_once_in_a_new_order() -> None:
    batches = make_batches()
    rows = [row for number in range(35) for row in clips(batches(number))]  # 280 rows are 4 epochs of 70 clips
    assert sorted(rows) == sorted(list(range(70)) * 4)
    alone = make_batches(batch_size=1)  # so that nothing is sorted
    epochs = [[clips(alone(70 * epoch + at))[0] for at in range(70)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(70)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_one_pass_holds_every_clip_once() -> None:
    batches = make_batches()
    assert batches.batches_in_pass == 9
    parts = [batches.of_pass(i) for i in range(9)]
    assert sorted(row for part in parts for row in clips(part)) == list(range(70))
    assert [len(part) for part in parts] == [8] * 8 + [6]
    lengths = torch.cat([part.lengths for part in parts])
    assert torch.equal(lengths, lengths.sort().values)


@pytest.mark.parametrize(("batch_size", "per_step"), [(24, 1), (12, 2), (6, 4), (3, 8), (1, 24)])
def test_a_step_sees_the_same_rows_in_every_factorisation(batch_size: int, per_step: int) -> None:
    """The rows of a step: clips, captions, dropped edges and texts, and the seeds; only their order may differ."""
    drops: dict[str, Any] = {"edge_drop": 0.5, "text_drop": 0.3}
    whole = make_batches(batch_size=24, **drops)
    parts = make_batches(batch_size=batch_size, per_step=per_step, **drops)
    for step in (0, 2, 3, 9):  # step 2 holds the end of the first epoch, of 70 clips
        found: dict[int, tuple[object, ...]] = {}
        for i in range(step * per_step, (step + 1) * per_step):
            found |= row_contents(parts(i))
        assert len(found) == 24 and found == row_contents(whole(step))


def test_captions_are_drawn_anew() -> None:
    batches = make_batches(count=8)
    seen = {
        tuple(sorted(zip(clips(batch), batch.text_mask.sum(1).tolist(), strict=True)))
        for batch in map(batches, range(6))
    }
    assert len(seen) == 6
    assert {length for epoch in seen for _, length in epoch} == {1, 3, 4}


def test_like_lengths_share_a_micro_batch_of_a_step() -> None:
    def waste(per_step: int) -> float:
        batches = make_batches(count=400, per_step=per_step)
        parts = [batches(number) for number in range(64)]
        real = sum(int(part.lengths.sum()) for part in parts)
        return 1 - real / sum(part.tokens.numel() for part in parts)

    assert waste(per_step=1) > 0.2
    assert waste(per_step=8) < 0.12


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
    clean, dropped = (make_batches(batch_size=1, text_drop=share) for share in (0.0, 0.4))  # in the same order
    count = lost = 0
    for number in range(160):
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


def test_the_seeds_go_with_the_rows() -> None:
    batch = make_batches()(3)
    assert batch.seeds is not None
    draws = batch.draws().uniform(20)
    assert torch.equal(batch.to("cpu").draws().uniform(20), draws)
    few = batch.select(torch.tensor([5, 1]))
    assert torch.equal(few.draws().uniform(20), draws[[5, 1]]) and few.step_seed == batch.step_seed
    assert few.lengths.tolist() == batch.lengths[[5, 1]].tolist()
    assert few.tokens.shape[1] == int(few.lengths.max()) < batch.tokens.shape[1]


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
