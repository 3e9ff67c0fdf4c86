"""Lists of actions: read off frames, and compared in three ways."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.data.store import Segment
from motionlab.evaluation.action_lists import (
    ActionCount,
    collapse,
    compare,
    count_actions,
    order_blind_score,
    order_score,
    wanted_actions,
)

names = st.lists(st.sampled_from(["walk", "kick", "jump"]), max_size=6)


@given(names, names)
def test_order_score_is_symmetric_and_one_only_for_equal_lists(wanted, found):
    score = order_score(wanted, found)
    assert score == order_score(found, wanted)
    assert 0.0 <= score <= 1.0
    assert (score == 1.0) == (wanted == found) == (compare(wanted, found)["exact"] == 1.0)


@given(names, names)
def test_the_order_blind_score_forgives_order_and_nothing_else(wanted, found):
    score = order_blind_score(wanted, found)
    assert score == order_blind_score(found, wanted) == order_blind_score(wanted, found[::-1])
    assert (score == 1.0) == (Counter(wanted) == Counter(found))
    assert score >= order_score(wanted, found) - 1e-12


def test_order_counts():
    assert order_score(["walk", "kick"], ["kick", "walk"]) == 0.5
    assert order_blind_score(["walk", "kick"], ["kick", "walk"]) == 1.0


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (["a"] * 9, ["a"]),
        (["a"] * 9 + ["b"] * 3 + ["a"] * 9, ["a"]),  # a flicker is not an action, and the run continues after it
        (["a"] * 4, []),
        ([], []),
    ],
)
def test_collapse(frames, expected):
    assert collapse(frames, min_frames=8) == expected


def test_going_on_with_the_same_action_is_one_action():
    segments = [Segment("walk", "w", 0, 30), Segment("walk", "w", 30, 60), Segment("kick", "k", 60, 90)]
    assert wanted_actions(segments) == ["walk", "kick"]


def test_actions_are_counted_as_often_as_they_were_asked_for():
    counts = count_actions([["walk", "kick", "walk"], ["kick"]], [["walk", "jump"], ["kick", "kick"]])
    assert counts == {
        "jump": ActionCount(0, 1, 0),
        "kick": ActionCount(2, 2, 1),
        "walk": ActionCount(2, 1, 1),
    }
