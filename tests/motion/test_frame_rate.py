"""One rule for when two frame rates are the same, wherever rates meet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from motionlab.data.splits import Splits
from motionlab.data.store import Clip, MotionStore
from motionlab.errors import InputError
from motionlab.motion.frame_rate import same_rate, whole_rate
from motionlab.motion.motion import Motion


def clip(fps: float) -> Clip:
    joints = torch.zeros(8, 22, 3)
    return Clip("still", Motion.from_joints_rotations(joints, torch.eye(3).expand(8, 22, 3, 3), fps=fps), ["stands"])


@pytest.mark.parametrize("seconds", [0.0333333, 0.033333, 0.03333, 0.008333, 0.0166667, 0.04])
def test_a_rounded_frame_time_is_the_rate_that_it_was_rounded_from(seconds: float) -> None:
    whole = round(1 / seconds)
    assert whole_rate(1 / seconds) == whole and same_rate(whole, 1 / seconds)


@pytest.mark.parametrize("fps", [29.97, 23.976, 59.94, 0.25])
def test_broadcast_rates_are_rates_of_their_own(fps: float) -> None:
    assert whole_rate(fps) == fps and not same_rate(fps, round(fps) or 1)


def test_a_store_takes_a_rounded_rate_and_says_the_digits_of_another(tmp_path: Path) -> None:
    assert MotionStore.write(tmp_path / "rounded", [clip(29.9999943)]).fps == 30.0
    with pytest.raises(InputError, match=r"found 29\.97 fps, expected physical units at 30 fps"):
        MotionStore.write(tmp_path / "other", [clip(29.97)])
    with pytest.raises(InputError, match=r"found 29\.9969 fps"):
        MotionStore.write(tmp_path / "near", [clip(29.9969)])


def test_splits_of_rounded_rates_are_one_source(tmp_path: Path) -> None:
    stores = [MotionStore.write(tmp_path / str(fps), [clip(fps)], fps=fps) for fps in (30.0, 29.9999943, 29.97)]
    Splits("mine", stores[0], stores[1], {})
    with pytest.raises(InputError, match=r"train at 30 fps, validation at 29\.97 fps"):
        Splits("mine", stores[0], stores[2], {})


def test_reading_at_the_rounded_rate_changes_no_frame() -> None:
    motion = clip(29.9999943).motion
    read = motion.resample(fps=30.0)
    assert read.fps == 30.0 and torch.equal(read.features, motion.features)
    with pytest.raises(InputError, match="fps inf"):
        clip(float("inf"))
