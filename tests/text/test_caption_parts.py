"""A caption becomes the actions that it names, whatever its subject and however they are joined."""

import pytest

from motionlab.data.composed.captions import _MANY, _PAIR, _SINGLE
from motionlab.text.caption_parts import action_parts, as_sentence, bare_action


@pytest.mark.parametrize("template", [*_PAIR, *_MANY])
def test_every_template_of_the_composed_captions_is_taken_apart(template):
    caption = template.format(first="walks forward", middle="kicks, then jumps", last="turns left while walking")
    middle = ["kicks", "jumps"] if "{middle}" in template else []
    assert action_parts(caption) == ["walks forward", *middle, "turns left while walking"]


@pytest.mark.parametrize("template", _SINGLE)
def test_the_subject_is_left_out(template):
    caption = template.format(first="jumps, spins and kicks")
    assert bare_action(caption) == "jumps, spins and kicks"
    assert action_parts(caption) == ["jumps", "spins", "kicks"]


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        ("a person looks left and right", ["looks left and right"]),
        ("someone crawls on hands and knees and waves", ["crawls on hands and knees", "waves"]),
        ("a tall young man is running, slowly and carefully", ["running"]),
        ("walks, THEN sits down.", ["walks", "sits down"]),
        ("blue", ["blue"]),
        ("?!", ["?!"]),
        ("a person", ["a person"]),
        ("then, and then", ["then, and then"]),
    ],
)
def test_odd_captions_keep_at_least_one_part(caption, parts):
    assert action_parts(caption) == parts


def test_subjects_and_capitals_make_no_difference():
    said = ("A Person sits  down", "somebody sits down", "the dancer is sits down")
    assert {as_sentence(part) for caption in said for part in action_parts(caption)} == {"a person sits down"}
