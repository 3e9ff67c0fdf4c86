"""Each number of the audit sees the fault that it is for, and no bundled clip is faulty."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from motionlab.data.composed.samples import load_samples
from motionlab.motion.audit import CHECKS, faults, measure
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def walk() -> Motion:
    return next(sample.motion for sample in load_samples() if sample.name == "walk")


def changed(motion: Motion, change: Change) -> dict[str, float]:
    joints, rotations = change(motion.joints().clone(), motion.rotations().clone())
    return measure(Motion.from_joints_rotations(joints, rotations, fps=motion.fps))


def jitter(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    return joints + 0.05 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(0)), rotations


def lift(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    joints[3:, :, 1] += 1.0
    return joints, rotations


def slide(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    joints[..., 0] += 2.0 * torch.arange(len(joints))[:, None] / 30  # m/s
    return joints, rotations


def sink(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    joints[9, :, 1] -= 0.5
    return joints, rotations


def stretch(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    joints[12, 21] += 0.3
    return joints, rotations


def flip(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    rotations[20, 0] = axis_angle_to_matrix(torch.tensor([0.0, 3.1, 0.0])) @ rotations[20, 0]
    return joints, rotations


def begin_elsewhere(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    joints[0, :, 0] += 0.5
    return joints, rotations


def swap_rotations(joints: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    return joints, rotations.flip(0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("jerk", jitter), ("floating", lift), ("skate", slide), ("penetration", sink), ("bone_drift", stretch),
        ("heading_jump", flip), ("first_frame_jump", begin_elsewhere), ("disagreement", swap_rotations),
    ],
)  # fmt: skip
def test_a_fault_is_seen_by_its_number(walk: Motion, name: str, change: Change) -> None:
    before, after = measure(walk), changed(walk, change)
    assert before[name] <= CHECKS[name].most < after[name]
    assert any(reason.startswith(name) for reason in faults(after))


def test_the_documented_numbers_are_those_of_the_bundled_clips() -> None:
    rows = [measure(sample.motion) for sample in load_samples()]
    assert len(rows) == 55 and not any(faults(row) for row in rows)
    for name, check in CHECKS.items():
        largest = max(row[name] for row in rows)
        assert 0.9 * check.bundled < largest + 0.001 and largest <= check.bundled < check.most, (name, largest)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_clips_of_a_few_frames_have_numbers(walk: Motion, frames: int) -> None:
    numbers = measure(walk.crop(0, frames))
    assert set(numbers) == set(CHECKS) and all(value == value for value in numbers.values())


def test_nan_is_a_fault() -> None:
    assert faults({"jerk": float("nan")})
