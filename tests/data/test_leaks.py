"""Takes that tests share with training, on sources of every kind."""

from __future__ import annotations

from pathlib import Path

import torch

from motionlab.data.leaks import shared_takes, takes_in
from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.motion.motion import Motion


def store(folder: Path, clips: dict[str, float], takes: tuple[str, ...] = ()) -> MotionStore:
    """Clips by name with a value that fills their features; `takes` are those of their segments."""
    made = []
    for name, value in clips.items():
        motion = Motion(torch.full((12, 272), value))
        segments = [Segment("walk", "walks", 6 * n, 6 * n + 6, sample=take) for n, take in enumerate(takes)]
        made.append(Clip(name, motion, ["a person walks"], segments))
    return MotionStore.write(folder, made)


def test_segments_say_the_takes_and_names_do_where_there_are_none(tmp_path: Path) -> None:
    composed = store(tmp_path / "a", {"train-00001": 1.0}, takes=("walk", "kick_mirrored"))
    plain = store(tmp_path / "b", {"dance/Mirror_x": 1.0, "dance/x@2-3.5": 2.0})
    assert takes_in(composed, 0) == {"walk", "kick"}
    assert takes_in(plain, 0) == takes_in(plain, 1) == {"dance/x"}


def test_twins_parts_and_equal_motions_are_found(tmp_path: Path) -> None:
    train = store(tmp_path / "train", {"a": 1.0, "b": 2.0})
    tests = {
        "new": store(tmp_path / "new", {"c": 3.0}),
        "twin": store(tmp_path / "twin", {"a_mirrored": 4.0}),
        "copy": store(tmp_path / "copy", {"other": 2.0}),
    }
    splits = Splits("mine", train, store(tmp_path / "v", {"d": 5.0}), tests)
    assert shared_takes(splits) == {"new": set(), "twin": {"a"}, "copy": {"other"}}
    assert not shared_takes(splits, features=False)["copy"]
