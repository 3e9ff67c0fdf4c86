"""Repetition control equals that of transformers, and leaves something to choose."""

from __future__ import annotations

import pytest
import torch

from motionlab.llama.decoding.repetition import forbid_ngrams, penalise_repeats

WRITTEN = torch.randint(6, (5, 20), generator=torch.Generator().manual_seed(0))
LOGITS = torch.randn(5, 9, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3])
def test_penalty_as_transformers(penalty: float) -> None:
    transformers = pytest.importorskip("transformers")
    expected = transformers.RepetitionPenaltyLogitsProcessor(penalty)(WRITTEN, LOGITS.clone())
    torch.testing.assert_close(penalise_repeats(LOGITS, WRITTEN, penalty), expected)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 20])
def test_ngrams_as_transformers(size: int, length: int) -> None:
    transformers = pytest.importorskip("transformers")
    written = WRITTEN[:, :length]
    expected = transformers.NoRepeatNGramLogitsProcessor(size)(written, LOGITS.clone()) if length else LOGITS
    torch.testing.assert_close(forbid_ngrams(LOGITS, written, size), expected)


def test_off() -> None:
    assert penalise_repeats(LOGITS, WRITTEN, 1.0) is LOGITS and forbid_ngrams(LOGITS, WRITTEN, 0) is LOGITS
    assert penalise_repeats(LOGITS, WRITTEN[:, :0], 2.0) is LOGITS


def test_something_is_left_to_choose() -> None:
    logits = torch.tensor([[1.0, 2.0, float("-inf")], [1.0, 2.0, 3.0]])
    written = torch.tensor([[0, 1], [0, 1]])
    found = forbid_ngrams(logits, written, 1)
    assert found[0].tolist() == logits[0].tolist()  # codes 0 and 1 are used up and END may not come yet
    assert found[1].tolist() == [float("-inf"), float("-inf"), 3.0]
