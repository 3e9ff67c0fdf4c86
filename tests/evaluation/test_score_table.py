"""Scores of several kinds of motion: means, intervals, clip by clip, and against the other captions."""

from __future__ import annotations

import json

import pytest

from motionlab.evaluation.score_table import score_table

WANTED = [["walk"], ["walk", "kick"], ["jump", "walk"]]
FOUND: dict[str, list[list[str] | None]] = {
    "real": list(WANTED),
    "generated": [["walk"], ["kick", "walk"], ["jump"]],
    "same actions": [["walk"], None, None],
    "nothing": [None, None, None],
}


def test_means_are_those_of_the_clips_that_have_a_motion():
    table = score_table(WANTED, FOUND)
    assert table["score"] == {"real": 1.0, "generated": pytest.approx(2 / 3), "same actions": 1.0}
    assert table["exact"]["generated"] == pytest.approx(1 / 3)
    assert table["order_blind"]["generated"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert table["per_clip"]["score"]["same actions"] == [1.0, None, None]
    assert table["per_clip"]["exact"]["generated"] == [1.0, 0.0, 0.0]
    assert table["actions"]["generated"] == {"jump": [1, 1, 1], "kick": [1, 1, 1], "walk": [3, 2, 2]}
    assert json.loads(json.dumps(table)) == table


def test_intervals_hold_the_means_and_say_on_how_many_clips_they_rest():
    table = score_table(WANTED, FOUND, groups={"real": ["a", "a", "b"]})
    for measure, kinds in table["intervals"].items():
        for kind, (low, high, clips) in kinds.items():
            assert low <= table[measure][kind] <= high
            assert clips == {"real": 2, "generated": 3, "same actions": 1}[kind]
    assert table["intervals"]["score"]["real"][0] < 1.0, "two takes that were right prove little"


def test_every_motion_is_scored_against_the_captions_of_all_others():
    table = score_table(WANTED, FOUND, other=("other caption", "generated"))
    first = (1 / 2 + 0) / 2  # "walk" asked for; "kick, walk" and "jump" seen
    assert table["per_clip"]["score"]["other caption"][0] == pytest.approx(first)
    assert table["score"]["other caption"] == pytest.approx(
        sum(table["per_clip"]["score"]["other caption"]) / 3, abs=1e-4
    )
    alone = score_table([["walk"]], {"generated": [["walk"]]}, other=("other caption", "generated"))
    assert "other caption" not in alone["score"]
