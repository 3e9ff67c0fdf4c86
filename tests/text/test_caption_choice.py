"""Drawing captions: pure, fair, and different from clip to clip and from access to access."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.text.caption_choice import choose_caption

WORDS = ["a", "b", "c", "d", "e"]


@given(st.integers(-(2**40), 2**70), st.integers(0, 10**7), st.integers(0, 10**6))
def test_pure_and_one_of_the_captions(seed: int, clip: int, access: int) -> None:
    first = choose_caption(WORDS, seed, clip, access)
    assert first in WORDS and first == choose_caption(WORDS, seed, clip, access)


@pytest.mark.parametrize("axis", ["seed", "clip", "access"])
def test_fair_along_every_argument(axis: str) -> None:
    base = {"seed": 3, "clip": 5, "access": 7}
    counts = Counter(choose_caption(WORDS, **{**base, axis: value}) for value in range(5000))
    assert all(850 < counts[word] < 1150 for word in WORDS), counts


def test_neighbouring_clips_draw_independently() -> None:
    same = sum(choose_caption(WORDS, 0, clip, 0) == choose_caption(WORDS, 0, clip + 1, 0) for clip in range(5000))
    assert 850 < same < 1150


def test_no_captions() -> None:
    with pytest.raises(InputError, match="clip 9: found no captions"):
        choose_caption([], 0, 9, 0)
