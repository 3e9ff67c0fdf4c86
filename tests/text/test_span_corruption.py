"""Span corruption loses nothing: input and target together are the sentence, whatever was cut out."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.text.span_corruption import corrupt_spans, draw_spans, restore_spans
from motionlab.text.words import END, Words

WORDS = Words([f"w{i}" for i in range(20)], n_sentinels=16)
FIRST = 3  # id of the first word


@given(st.lists(st.tuples(st.integers(FIRST, FIRST + 19), st.booleans()), min_size=1, max_size=30))
def test_round_trip(pairs: list[tuple[int, bool]]) -> None:
    tokens, mask = [token for token, _ in pairs], [cut for _, cut in pairs]
    if not any(mask):
        mask[0] = True
    ids = [*tokens, END]
    source, target = corrupt_spans(ids, mask, WORDS)
    assert restore_spans(source, target, WORDS) == ids
    runs = sum(cut for cut, _ in itertools.groupby(mask))
    marks = [WORDS.sentinel(i) for i in range(runs)]
    assert [token for token in source if WORDS.is_sentinel(token)] == marks
    assert [token for token in target if WORDS.is_sentinel(token)] == [*marks, WORDS.sentinel(runs)]
    assert len(source) == len(ids) - sum(mask) + runs and len(target) == sum(mask) + runs + 2
    assert source[-1] == target[-1] == END


@given(st.integers(2, 40), st.floats(0.05, 0.9), st.floats(1.0, 4.0), st.integers(0, 2**31 - 1))
def test_spans_have_the_rate_and_never_touch(length: int, rate: float, mean_span: float, seed: int) -> None:
    mask = draw_spans(length, rate, mean_span, torch.Generator().manual_seed(seed))
    assert len(mask) == length
    cut = min(max(round(length * rate), 1), length - 1)
    assert sum(mask) == cut
    runs = sum(value for value, _ in itertools.groupby(mask))
    assert runs == min(max(round(cut / mean_span), 1), cut, length - cut + 1)


def test_every_place_can_be_cut_out_and_all_ways_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(tuple(draw_spans(5, 0.4, 1.0, generator)) for _ in range(3000))
    # 2 of 5 tokens in 2 runs that do not touch: 6 ways.
    assert len(drawn) == 6 and min(drawn.values()) > 0.8 * 500 and max(drawn.values()) < 1.2 * 500


def test_a_wrong_answer_is_put_in_as_it_is() -> None:
    ids = [3, 4, 5, 6, END]
    source, _ = corrupt_spans(ids, [False, True, False, True], WORDS)
    first, second = WORDS.sentinel(0), WORDS.sentinel(1)
    assert restore_spans(source, [first, 9, 10, END], WORDS) == [3, 9, 10, 5, END]  # the second is left out
    assert restore_spans(source, [7, first, 9, END, second, 8], WORDS) == [3, 9, 5, END]  # nothing counts after END
    assert restore_spans(source, [second, 8], WORDS) == [3, 5, 8, END]


@pytest.mark.parametrize(("length", "rate", "mean_span"), [(1, 0.15, 3.0), (5, 0.0, 3.0), (5, 1.0, 3.0), (5, 0.3, 0.5)])
def test_wrong_numbers(length: int, rate: float, mean_span: float) -> None:
    with pytest.raises(InputError, match="2 or more tokens"):
        draw_spans(length, rate, mean_span, torch.Generator())


@pytest.mark.parametrize(
    ("ids", "mask"), [([3, 4], [True, False]), ([3, 4, END], [True]), ([3, 4, END], [False, False])]
)
def test_wrong_masks(ids: list[int], mask: list[bool]) -> None:
    with pytest.raises(InputError, match="at least one of them True"):
        corrupt_spans(ids, mask, WORDS)


def test_more_runs_than_sentinels() -> None:
    words = Words(["a"], n_sentinels=1)
    with pytest.raises(InputError, match="Make fewer gaps"):
        corrupt_spans([3, 3, 3, END], [True, False, True], words)
