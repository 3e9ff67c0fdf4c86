"""Phase and gait of motions whose steps are known."""

from __future__ import annotations

import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.gait import GROUPS, gait_weights, step_phase
from motionlab.motion.motion import Motion

MOTIONS = {sample.name: sample.motion for sample in load_samples()}


def loop(name: str, times: int) -> torch.Tensor:
    """Joints at 60 fps of a clip of one cycle, several times; rows of features are steps, so they follow each other."""
    features = MOTIONS[name].features
    return Motion(torch.cat((features, *[features[1:]] * (times - 1)))).resample(fps=60).joints()


def groups(joints: torch.Tensor) -> dict[str, float]:
    return dict(zip(GROUPS, gait_weights(joints, 60, standing=1.5).mean(0).tolist(), strict=True))


def test_a_walk_turns_once_for_two_steps() -> None:
    phase = step_phase(loop("walk", 4), 60)  # a cycle of 37 frames at 30 fps: 74 at 60
    step = torch.diff(phase) % 1.0
    assert 0 <= float(phase.min()) and float(phase.max()) < 1
    assert abs(float(step[40:260].sum()) - 220 / 74) < 0.1
    assert float(step.max()) < 0.02  # even: no frame in which it jumps


def test_phase_is_a_half_apart_between_left_and_right() -> None:
    joints = loop("walk", 4)
    phase = step_phase(joints, 60)
    behind = joints[:, 7, 2] - joints[:, 8, 2]  # left ankle before right ankle
    left_ahead = phase[(behind[1:-1] > behind[:-2]).logical_and(behind[1:-1] > behind[2:]).nonzero()[:, 0] + 1]
    right_ahead = phase[(behind[1:-1] < behind[:-2]).logical_and(behind[1:-1] < behind[2:]).nonzero()[:, 0] + 1]
    # A foot is farthest ahead shortly before it comes down.
    assert bool((((left_ahead + 0.5) % 1 - 0.5).abs() < 0.15).all()) and len(left_ahead) >= 3
    assert bool(((right_ahead - 0.5).abs() < 0.15).all()) and len(right_ahead) >= 3


def test_the_mirror_image_is_half_a_cycle_later() -> None:
    joints = loop("walk", 4)
    phase = step_phase(joints, 60)
    order = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
    mirrored = step_phase((joints * joints.new_tensor([-1.0, 1, 1]))[:, order], 60)
    torch.testing.assert_close((phase + 0.5) % 1, mirrored)


def test_without_steps_the_phase_turns_once_a_second() -> None:
    phase = step_phase(MOTIONS["cmu_stand"].resample(fps=60).joints(), 60)
    torch.testing.assert_close(torch.diff(phase) % 1.0, torch.full((len(phase) - 1,), 1 / 60, dtype=torch.float64))
    assert len(step_phase(torch.zeros(1, 22, 3), 60)) == 1


def test_gaits_by_speed_and_height() -> None:
    assert groups(loop("walk", 4))["walk"] > 0.99
    run = groups(loop("run", 4))
    assert run["jog"] > 0.9 and run["jump"] == 0  # a run flies, but not for long
    assert groups(MOTIONS["cmu_stand"].resample(fps=60).joints())["stand"] > 0.99
    jump = groups(MOTIONS["cmu_jump_1"].resample(fps=60).joints())
    assert 0.05 < jump["jump"] < 0.5 and jump["bump"] == 0
    assert groups(MOTIONS["crawl"].resample(fps=60).joints())["crouch"] > 0.9
    low = MOTIONS["cmu_stand"].joints() * torch.tensor([1.0, 0.65, 1.0])
    assert 0.3 < groups(low)["crouch"] < 0.7
