"""Words of composed clips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.data.composed.captions import compose_captions, mirror_caption


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turns left, then right.", "turns right, then left."),
        ("Left leg, RIGHT", "Right leg, Left"),
        ("left-handed, rightwards", "right-handed, leftwards"),
        ("turn_around_left", "turn_around_right"),
        ("spins clockwise", "spins counterclockwise"),
        ("spins anticlockwise", "spins clockwise"),
        ("stands upright in bright light", "stands upright in bright light"),
        ("先左转，再顺时针转", "先右转，再逆时针转"),
        ("", ""),
    ],
)
def test_mirror_caption(text, expected):
    assert mirror_caption(text) == expected


@given(st.lists(st.sampled_from(["left", "right", "kicks", "上", "左", "turn_left", "upright"])))
def test_mirroring_twice_gives_the_caption_back(words):
    text = " ".join(words)
    assert mirror_caption(mirror_caption(text)) == text


@pytest.mark.parametrize("actions", [1, 2, 3, 4, 5])
def test_captions_hold_every_action_in_order_and_differ(actions):
    phrases = [[f"does{number}", f"performs{number}"] for number in range(actions)]
    for seed in range(20):
        captions = compose_captions(phrases, np.random.default_rng(seed), count=5)
        assert len(set(captions)) == 5
        for caption in captions:
            assert "{" not in caption
            places = [max(caption.find(option) for option in options) for options in phrases]
            assert min(places) >= 0 and places == sorted(places)


def test_captions_depend_on_the_generator_only():
    phrases = [["walks"], ["turns left", "turns to the left"], ["kicks"]]
    first, again, other = (compose_captions(phrases, np.random.default_rng(seed), 3) for seed in (1, 1, 2))
    assert first == again != other


def test_mirrored_captions_swap_the_sides():
    plain = compose_captions([["turns left"], ["kicks"]], np.random.default_rng(0), 5)
    mirrored = compose_captions([["turns left"], ["kicks"]], np.random.default_rng(0), 5, mirrored=True)
    assert all("left" in text for text in plain)
    assert mirrored == [text.replace("left", "right") for text in plain]
