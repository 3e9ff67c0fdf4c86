"""Words of composed clips."""

import numpy as np
import pytest

from motionlab.data.composed.captions import compose_captions
from motionlab.errors import InputError


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


def test_a_phrase_that_cannot_be_mirrored_is_refused():
    phrases = [["turns left"], ["walks right back"]]
    assert compose_captions(phrases, np.random.default_rng(0), 1)
    with pytest.raises(InputError, match="'walks right back': found .* may or may not be a side"):
        compose_captions(phrases, np.random.default_rng(0), 1, mirrored=True)
