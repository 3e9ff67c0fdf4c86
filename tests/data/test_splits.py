"""`Splits` and joined splits: any source, any number of test splits, nothing copied."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from motionlab.data.joined import JoinedClips
from motionlab.data.splits import CaptionsOf, Splits
from motionlab.data.store import Clip, MotionStore, Segment
from motionlab.errors import InputError
from motionlab.motion.motion import Motion


def make_store(folder: Path, names: list[str], labelled: bool = True, fps: float = 30.0) -> MotionStore:
    """Clips whose features are their number in the alphabet."""
    clips = []
    for name in names:
        frames = 10 + ord(name)
        segments = [Segment("walk", "walks", 0, frames)] if labelled else []
        motion = Motion(torch.full((frames, 272), ord(name) / 64), fps=fps)
        clips.append(Clip(name, motion, [f"caption {name}"], segments, source=f"tape {name}"))
    return MotionStore.write(folder, clips, fps=fps)


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    train, validation, test = (
        make_store(tmp_path / name, list(names)) for name, names in (("t", "acd"), ("v", "be"), ("x", "f"))
    )
    return Splits("mine", train, validation, {"first": test, "second-one": test})


def test_splits_say_what_is_in_them(splits: Splits) -> None:
    assert list(splits.named()) == ["train", "validation", "first", "second-one"]
    assert splits.longest == 10 + ord("e")
    facts = splits.described()["validation"]
    assert facts["clips"] == 2 and facts["minutes"] == pytest.approx((20 + ord("b") + ord("e")) / 30 / 60)
    assert splits.train.source(1) == "tape c" and splits.train.name(2) == "d"


def test_the_digest_changes_with_any_clip(splits: Splits, tmp_path: Path) -> None:
    again = make_store(tmp_path / "again", list("acd"))
    assert again.digest == splits.train.digest
    assert Splits("other", again, splits.validation, splits.tests).digest == splits.digest
    changed = Splits("mine", make_store(tmp_path / "more", list("acdg")), splits.validation, splits.tests)
    assert changed.digest != splits.digest and changed.digests["first"] == splits.digests["first"]
    unlabelled = make_store(tmp_path / "plain", list("acd"), labelled=False)
    assert unlabelled.digest != again.digest and again.has_segments and not unlabelled.has_segments


def test_another_process_opens_the_stores_again(splits: Splits) -> None:
    data = pickle.dumps(splits)
    assert len(data) < 2000, "features travelled"
    again = pickle.loads(data)
    assert again.digests == splits.digests and torch.equal(again.train.features(1), splits.train.features(1))


@pytest.mark.parametrize("name", ["train", "validation", "a/b", "", "test seen"])
def test_names_that_cannot_be_used(splits: Splits, name: str) -> None:
    with pytest.raises(InputError, match="Rename the split"):
        Splits("mine", splits.train, splits.validation, {name: splits.train})


def test_splits_that_cannot_be_used(splits: Splits, tmp_path: Path) -> None:
    empty = MotionStore.write(tmp_path / "empty", [])
    with pytest.raises(InputError, match="mine, split train: found no clips"):
        Splits("mine", empty, splits.validation, {})
    with pytest.raises(InputError, match="mine, test split late: found no clips"):
        Splits("mine", splits.train, splits.validation, {"late": empty})
    slow = make_store(tmp_path / "slow", ["a"], fps=20.0)
    with pytest.raises(InputError, match="train at 30 fps, validation at 30 fps, slow at 20 fps"):
        Splits("mine", splits.train, splits.validation, {"slow": slow})
    Splits("mine", splits.train, empty, {})  # nothing to validate on is allowed


def test_joined_splits_are_in_the_order_of_names(splits: Splits) -> None:
    joined = JoinedClips(splits.train, splits.validation)
    assert [joined.name(i) for i in range(len(joined))] == list("abcde")
    assert [joined.place(i) for i in range(5)] == [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]
    assert joined.lengths.tolist() == [10 + ord(name) for name in "abcde"]
    assert joined.captions(1) == ["caption b"] and joined.source(1) == "tape b"
    assert joined.segments(4)[0].stop == 10 + ord("e") and joined.has_segments
    assert joined.features(2)[0, 0] == ord("c") / 64
    with pytest.raises(InputError, match="no clips"):
        JoinedClips()


def test_windows_of_joined_splits(splits: Splits) -> None:
    joined = JoinedClips(splits.train, splits.validation)
    numbers, starts = np.array([4, 0, 1, 4, 2]), np.array([3, 0, 7, 99, 5])
    windows = joined.windows(numbers, starts, 6)
    assert windows.shape == (5, 6, 272)
    for window, number, start in zip(windows, numbers, starts, strict=True):
        at, i = joined.place(int(number))
        assert torch.equal(window, (splits.train, splits.validation)[at].windows([i], [start], 6)[0])
    assert joined.windows([], [], 6).shape == (0, 6, 272)


def test_captions_of_a_split_as_a_list(splits: Splits) -> None:
    captions = CaptionsOf(splits.train)
    assert len(captions) == 3 and list(captions) == [["caption a"], ["caption c"], ["caption d"]]
    assert captions[-1] == ["caption d"] and captions[1:] == [["caption c"], ["caption d"]]
    assert list(CaptionsOf(splits.train, 2)) == captions[:2]
    with pytest.raises(IndexError):
        captions[3]


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("where", ["train", "validation", "late"])
def test_a_clip_that_is_too_short_to_be_measured_is_named(
    splits: Splits, tmp_path: Path, where: str, frames: int
) -> None:
    clips = [Clip(name, Motion(torch.zeros(count, 272)), ["x"], []) for name, count in (("fine", 3), ("tiny", frames))]
    parts = {"train": splits.train, "validation": splits.validation, "late": splits.tests["first"]}
    parts[where] = MotionStore.write(tmp_path / "short", clips)
    with pytest.raises(InputError, match=rf"split {where}, clip 1 \(tiny\): found {frames} frames, expected 3 or more"):
        Splits("mine", parts["train"], parts["validation"], {"late": parts["late"]})
