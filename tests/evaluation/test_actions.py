"""The judge: reading actions off frames, scoring their order, learning what is easy to learn, and not more."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.evaluation.actions import (
    IGNORE,
    classifier_accuracy,
    collapse,
    frame_labels,
    order_score,
    train_classifier,
    wanted_actions,
)
from motionlab.motion.motion import Motion
from motionlab.motion.normalizer import Normalizer

names = st.lists(st.sampled_from(["walk", "kick", "jump"]), max_size=6)


@given(names, names)
def test_order_score_is_symmetric_and_one_only_for_equal_lists(expected, found):
    score = order_score(expected, found)
    assert score == order_score(found, expected)
    assert 0.0 <= score <= 1.0
    assert (score == 1.0) == (expected == found)


def test_order_counts():
    assert order_score(["walk", "kick"], ["kick", "walk"]) == 0.5


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


def store_of_two_actions(folder, seed, clips=8):
    """Motions whose pelvis is high in one action and low in the other; the rest is noise."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for k in range(clips):
        features = 0.05 * torch.randn(80, 272, generator=generator)
        features[:, 2:8] = torch.tensor([1.0, 0, 0, 0, 1.0, 0])
        first, second = ("up", "down") if k % 2 else ("down", "up")
        features[:40, 9] += 1.0 if first == "up" else -1.0
        features[40:, 9] += 1.0 if second == "up" else -1.0
        segments = [Segment(first, first, 0, 40), Segment(second, second, 40, 80)]
        made.append(Clip(f"clip{k}", Motion(features), [f"{first} then {second}"], segments))
    return MotionStore.write(folder, made)


def test_the_classifier_learns_and_its_accuracy_is_measured_on_other_clips(tmp_path):
    train, held_out = store_of_two_actions(tmp_path / "a", 0), store_of_two_actions(tmp_path / "b", 1)
    normalizer = Normalizer.fit(train.features(i) for i in range(len(train)))
    trained = classifier_accuracy(train_classifier(train, normalizer, steps=40, batch_size=8), held_out)
    untrained = classifier_accuracy(train_classifier(train, normalizer, steps=0, batch_size=8), held_out)
    assert trained.frame_accuracy > 0.95 and trained.exact == 1.0 and trained.clips == 8
    assert untrained.frame_accuracy < 0.8


def test_frames_outside_segments_are_ignored(tmp_path):
    features = torch.zeros(20, 272)
    clip = Clip("x", Motion(features), ["x"], [Segment("up", "up", 4, 12)])
    store = MotionStore.write(tmp_path / "s", [clip])
    labels = frame_labels(store, 0, {"up": 0})
    assert labels.tolist() == [IGNORE] * 4 + [0] * 8 + [IGNORE] * 8


def test_going_on_with_the_same_action_is_one_action():
    segments = [Segment("walk", "w", 0, 30), Segment("walk", "w", 30, 60), Segment("kick", "k", 60, 90)]
    assert wanted_actions(segments) == ["walk", "kick"]
