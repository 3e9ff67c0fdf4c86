"""Foot contacts: feet stand while they are low and slow, at any frame rate."""

from __future__ import annotations

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.contacts import FEET, foot_contacts
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES


def sample(name: str) -> Motion:
    return next(sample.motion for sample in load_samples() if sample.name == name)


def test_a_walk_stands_on_one_foot_after_the_other() -> None:
    contacts = foot_contacts(sample("walk").joints())
    left, right = contacts[:, :2].any(1), contacts[:, 2:].any(1)
    assert 0.4 < left.float().mean() < 0.9 and 0.4 < right.float().mean() < 0.9
    assert (left | right).float().mean() > 0.9  # walking: always one foot on the floor
    assert (left ^ right).float().mean() > 0.3  # and for a good part only one
    changes = left.int().diff().abs().sum()
    assert 2 <= changes <= 16  # steps, not flicker


def test_contacts_do_not_depend_on_the_frame_rate() -> None:
    motion = sample("walk")
    slow, fast = foot_contacts(motion.joints(), 30.0), foot_contacts(motion.resample(fps=120.0).joints(), 120.0)
    assert (fast[::4][: len(slow)] == slow[: len(fast[::4])]).float().mean() > 0.93


def test_height_and_speed_both_count() -> None:
    joints = torch.zeros(30, 22, 3)
    toe = JOINT_NAMES.index("left_foot")
    joints[:, toe, 2] = torch.arange(30) * 1.5 / 30  # 1.5 m/s along the floor
    joints[:, JOINT_NAMES.index("right_ankle"), 1] = 0.2
    contacts = foot_contacts(joints, 30.0)
    assert contacts.float().mean(0).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert FEET[1] == "left_foot"
    assert foot_contacts(joints + torch.tensor([0.0, 2.0, 0.0]), floor=2.0).float().mean(0).tolist()[0] == 1.0


def test_one_frame_and_a_flicker() -> None:
    assert foot_contacts(torch.zeros(1, 22, 3)).tolist() == [[True] * 4]
    joints = torch.zeros(30, 22, 3)
    joints[12, :, 1] = 1.0  # noise in one frame spoils its neighbours, and nothing further away
    assert foot_contacts(joints, 30.0)[[5, 20]].all()


def test_wrong_shape() -> None:
    with pytest.raises(InputError, match=r"joints: found shape \(5, 24, 3\)"):
        foot_contacts(torch.zeros(5, 24, 3))
