"""Which words of a caption are sides, in English and Chinese, and which captions are not touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.data.composed.mirrored_words import mirror_caption, mirror_words

SIDES = [
    ("turns left, then right.", "turns right, then left."),
    ("Left leg, RIGHT", "Right leg, LEFT"),
    ("left-handed, rightwards", "right-handed, leftwards"),
    ("is right-handed", "is left-handed"),
    ("the leftmost of two lefties", "the rightmost of two lefties"),
    ("throws lefts and rights", "throws rights and lefts"),
    ("turn_around_left", "turn_around_right"),
    ("spins clockwise", "spins counterclockwise"),
    ("rotates CCW", "rotates CW"),
    ("has left hand up", "has right hand up"),
    ("to the right behind the chair", "to the left behind the chair"),
    ("turns right after two steps", "turns left after two steps"),
    ("left and right in front of the chest", "right and left in front of the chest"),
    ("walks left in a circle", "walks right in a circle"),
    ("the left foot is left of the right foot", "the right foot is right of the left foot"),
    ("with the left the person punches", "with the right the person punches"),
    ("先左转，再顺时针转", "先右转，再逆时针转"),
    ("左撇子用左手", "右撇子用右手"),
    ("出拳：左右左", "出拳：右左右"),
    ("順時針轉", "逆時針轉"),
    ("顺时钟转", "逆时钟转"),
    ("順時鐘轉", "逆時鐘轉"),
    ("", ""),
]
NO_SIDES = [
    "stands upright in bright light",
    "right away kicks",
    "starts right now",
    "he left the chair",
    "she has left the room",
    "the person left the room",
    "is all right",
    "bends the knees at right angles",
    "lands right side up",
    "rights himself",
    "has nothing left to do",
    "there is no time left",
    "they've left the room",
    "walks an L-shaped path",
    "走两米左右",
    "左右闪躲",
    "左顾右盼",
]
UNSURE = [
    "walks right back",
    "turns right around",
    "turns right away from the door",
    "steps right into the ring",
    "stands right behind him",
    "left the room",
    "a person left",
    "the foot is left behind",
    "turns the right way",
    "turns to three o'clock",
    "southpaw stance",
    "raises the L arm",
    "steps with R",
    "walks around the counter clockwise",
    "kicks left into the air",  # clear, but its mirror image is not
    "左右出拳",
    "右左",
]


@pytest.mark.parametrize(("text", "expected"), SIDES)
def test_sides_are_swapped_and_swapped_back(text, expected):
    assert mirror_caption(text) == expected and not mirror_words(text).unsure
    assert mirror_caption(expected) == text


@pytest.mark.parametrize(
    "spelling",
    [
        "counter clockwise",
        "counter-clockwise",
        "anticlockwise",
        "anti-clockwise",
        "anti-clock-wise",
        "counter clock wise",
        "逆时针",
        "反时针",
    ],
)
def test_every_spelling_of_counterclockwise(spelling):
    clockwise = "clockwise" if spelling.isascii() else "顺时针"
    assert mirror_caption(f"spins {spelling}.") == f"spins {clockwise}."
    assert mirror_caption(f"spins {clockwise}.") == (
        "spins counterclockwise." if spelling.isascii() else "spins 逆时针."
    )


@pytest.mark.parametrize("text", NO_SIDES)
def test_words_that_are_no_side_stay(text):
    read = mirror_words(text)
    assert read.text == text and not read.swapped and not read.unsure


def test_kept_words_are_named_with_their_neighbours():
    assert mirror_words("he left the chair, then turns left").kept == ("'left' in 'he left the chair,'",)
    assert mirror_words("he left the chair, then turns left").swapped == ("left -> right",)


@pytest.mark.parametrize("text", UNSURE)
def test_a_caption_that_may_be_misread_is_not_touched(text):
    read = mirror_words(f"a person kicks with the left leg, {text}")
    assert read.text == f"a person kicks with the left leg, {text}" and not read.swapped
    assert len(read.unsure) == 1


WORDS = (
    "left right kicks the he person has turns away in a back handed counter clockwise counterclockwise turn_left "
    "upright Left RIGHT Counterclockwise rIGHT 上 左 右 左右 顺时针"
).split()


@given(st.lists(st.sampled_from(WORDS)), st.sampled_from([" ", ", ", "-", ""]))
def test_mirroring_twice_gives_the_caption_back(words, between):
    text = between.join(words)
    once = mirror_caption(text)
    twice = mirror_caption(once)
    assert mirror_caption(twice) == once
    if "counter clockwise" not in text and "counter-clockwise" not in text:
        assert twice == text


def test_every_bundled_caption_can_be_mirrored(samples):
    texts = [
        text for one in samples for text in (one.action, *one.phrases, *one.captions, *one.captions_zh)
    ]  # fmt: skip
    read = [mirror_words(text) for text in texts]
    assert [text for text, words in zip(texts, read, strict=True) if words.unsure] == []
    assert sum(bool(words.swapped) for words in read) == 182
    assert [text for text, words in zip(texts, read, strict=True) if words.kept] == ["一个人防守着移动，左右闪躲"]
    assert all(mirror_caption(words.text) == text for text, words in zip(texts, read, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("spins clock-wise", "spins counterclockwise"), ("反時針轉", "順時針轉"), ("CLOCK WISE", "COUNTERCLOCKWISE")],
)
def test_clockwise_in_other_spellings(text, expected):
    mirrored = mirror_words(text)
    assert mirrored.text == expected and not mirrored.unsure
