"""Real motion is right, however wild; what no person does is doubtful; what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.retargeting.verdict import LIMITS, judge
from motionlab.motion.rotations import axis_angle_to_matrix, yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES, MIRROR, PARENTS, global_rotations

SAMPLES = {sample.name: sample.motion for sample in load_samples()}
WALK = SAMPLES["walk"]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_bundled_sample_is_right(name: str) -> None:
    motion = SAMPLES[name]
    verdict = judge(motion, motion.joints(), source_fps=30.0)
    assert (verdict.verdict, verdict.reasons) == ("right", ())
    assert judge(motion.mirror()).verdict == "right"
    assert judge(motion.crop(0, 1)).verdict == "right"
    assert all(value == value for value in verdict.measures.values())


def test_published_features_are_right(golden: Callable[[str], Any]) -> None:
    features = torch.from_numpy(golden("motion272.npz")["features"]).float()
    assert judge(Motion(features)).verdict == "right"


def test_every_measure_with_a_limit_is_measured() -> None:
    measures = judge(WALK, WALK.joints(), source_fps=30.0).measures
    assert {limit.measure for limit in LIMITS} <= set(measures)


def test_the_reference_may_stand_elsewhere_and_face_elsewhere() -> None:
    turn = yaw_matrix(torch.tensor(2.0))
    reference = WALK.joints() @ turn.T + torch.tensor([3.0, 0.0, -1.0])
    measures = judge(WALK, reference).measures
    assert max(value for name, value in measures.items() if name.endswith("_angle_deg")) < 0.5


def test_joints_that_the_source_lacks_are_left_out() -> None:
    reference = WALK.joints().clone()
    reference[:, [12, 18, 19, 20, 21]] = torch.nan  # no neck, no arms
    verdict = judge(WALK, reference)
    assert verdict.verdict == "right"
    assert "trunk_angle_deg" not in verdict.measures and "heading_angle_deg" not in verdict.measures
    assert verdict.measures["limb_angle_deg"] < 0.5
    assert "limb_angle_deg" not in judge(WALK, torch.full_like(reference, torch.nan)).measures


def bent(joint: int, axis: tuple[float, float, float]) -> Motion:
    """A walk in which one joint is turned further."""
    rotations = WALK.rotations().clone()
    rotations[:, joint] = rotations[:, joint] @ axis_angle_to_matrix(torch.tensor(axis))
    return Motion.from_joints_rotations(WALK.joints(), rotations)


def moved(change: Callable[[torch.Tensor], torch.Tensor], ground: bool = False) -> Motion:
    return Motion.from_joints_rotations(change(WALK.joints().clone()), WALK.rotations(), ground=ground)


def _t_pose_first(joints: torch.Tensor) -> torch.Tensor:
    joints[0, [20, 21], 1] += 0.6
    return joints


def _stretched(joints: torch.Tensor) -> torch.Tensor:
    joints[::2, 20] += torch.tensor([0.3, 0.0, 0.0])
    return joints


def _travelling(joints: torch.Tensor) -> torch.Tensor:
    return joints + torch.tensor([0.0, 0.0, 1.0]) * torch.arange(len(joints))[:, None, None]


def _trembling(joints: torch.Tensor) -> torch.Tensor:
    return joints + 0.02 * torch.randn(joints.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_travelling, "faster than people run"),
        (_t_pose_first, " cm after the first frame"),
        (_stretched, "changes its length"),
        (_trembling, "trembles"),
        (lambda joints: joints - torch.tensor([0.0, 0.4, 0.0]), "below the floor"),
        (lambda joints: joints + torch.tensor([0.0, 1.5, 0.0]), "above the floor"),
        (lambda joints: 0.52 * joints, "smaller than a person"),
    ],
)
def test_motion_that_no_person_makes_is_doubtful(change: Callable[..., torch.Tensor], reason: str) -> None:
    verdict = judge(moved(change))
    assert verdict.verdict == "doubtful"
    assert any(reason in sentence for sentence in verdict.reasons), verdict.reasons


def test_a_body_that_stands_still_is_right() -> None:
    verdict = judge(Motion(WALK.features[:1].expand(40, -1)))
    assert (verdict.verdict, verdict.measures["static_share"], verdict.measures["movement_cm"]) == ("right", 1.0, 0.0)


@pytest.mark.parametrize(("fps", "word"), [(1.0, "key frames"), (1000.0, "more than cameras"), (None, ""), (0.0, "")])
def test_the_rate_of_the_file(fps: float | None, word: str) -> None:
    verdict = judge(WALK, source_fps=fps)
    assert verdict.verdict == ("doubtful" if word else "right")
    assert not word or word in verdict.reasons[0]


def test_limbs_and_trunk_are_compared_with_the_reference() -> None:
    reference = WALK.joints().clone()
    hips = [1, 2]
    middle = reference[:, hips].mean(1, keepdim=True)
    reference[:, hips] = middle + (reference[:, hips] - middle) @ yaw_matrix(torch.tensor(0.7)).T
    verdict = judge(WALK, reference)
    assert verdict.verdict == "doubtful"
    assert verdict.measures["hip_line_angle_deg"] == pytest.approx(40, abs=2)
    reference = WALK.joints().clone()
    reference[:, 20] = reference[:, 18] + torch.tensor([0.0, 0.3, 0.0])
    assert judge(WALK, reference).measures["limb_angle_deg"] > 10


def test_a_pelvis_that_is_turned_has_the_wrong_heading() -> None:
    verdict = judge(bent(0, (0.0, 0.6, 0.0)), WALK.joints())
    assert verdict.measures["heading_angle_deg"] == pytest.approx(34, abs=3)
    assert verdict.verdict != "right"


def test_a_wrong_convention_is_refused_by_name() -> None:
    joints, rotations = WALK.joints(), WALK.rotations()
    verdict = judge(Motion.from_joints_rotations(joints, global_rotations(rotations)))
    assert verdict.verdict == "refused" and "parent.mT @ child" in verdict.reasons[0]
    swapped = Motion.from_joints_rotations(joints[:, list(MIRROR)], rotations[:, list(MIRROR)])
    assert judge(swapped).verdict == "refused"
    assert judge(replace(WALK, fps=300.0)).verdict == "doubtful"  # ten times as fast


def _hand_far_away(joints: torch.Tensor) -> torch.Tensor:
    joints[:, 20] += torch.tensor([0.5, 0.3, 0.0])
    return joints


def _knees_exchanged(joints: torch.Tensor) -> torch.Tensor:
    joints[:, [4, 5]] = joints[:, [5, 4]]
    return joints


def _squashed(joints: torch.Tensor) -> torch.Tensor:
    return joints * torch.tensor([1.0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_hand_far_away, "longer than that of the other"),
        (_knees_exchanged, "A bone"),
        (_squashed, "changes its length"),
    ],
)
def test_bones_of_the_file_are_looked_at_and_not_only_ours(
    change: Callable[[torch.Tensor], torch.Tensor], reason: str
) -> None:
    """Retargeting gives every body our bones, which are always in order."""
    joints = change(SAMPLES["cmu_walk_around_2"].joints().clone())
    times = torch.arange(len(joints), dtype=torch.float64) / 30
    result = retarget(SourceMotion("body", JOINT_NAMES, PARENTS, times, joints))
    verdict = judge(result.motion, result.reference, source_fps=30.0)
    assert verdict.verdict == "doubtful" and reason in " ".join(verdict.reasons)


def _arms_exchanged(joints: torch.Tensor) -> torch.Tensor:
    joints[:, 16:22] = joints[:, [17, 16, 19, 18, 21, 20]]
    return joints


def _head_in_chest(joints: torch.Tensor) -> torch.Tensor:
    joints[:, 15] = joints[:, 12] - torch.tensor([0.0, 0.2, 0.0])
    return joints


def _cut(joints: torch.Tensor) -> torch.Tensor:
    joints[len(joints) // 2 :] += torch.tensor([2.0, 0.0, 0.0])
    return joints


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_arms_exchanged, "shoulders are turned"), (_head_in_chest, "head is bent"), (_cut, "between two frames")],
)
def test_a_body_that_cannot_be_is_doubtful(change: Callable[[torch.Tensor], torch.Tensor], reason: str) -> None:
    verdict = judge(moved(change))
    assert verdict.verdict != "right" and reason in " ".join(verdict.reasons)
