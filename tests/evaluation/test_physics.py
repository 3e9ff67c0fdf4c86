"""Physics against plain loops over one clip, against made motions with known faults, and on recorded motion."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.evaluation import physics as module
from motionlab.evaluation.corruption import corrupt, heading_drift
from motionlab.evaluation.intervals import Interval
from motionlab.evaluation.physics import Physics, physics, physics_of, physics_of_clips, physics_table, rotations_gap
from motionlab.evaluation.physics_measures import facing
from motionlab.motion.contacts import foot_contacts
from motionlab.motion.features import decode_heading, decode_positions
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, Skeleton, canonical_skeleton

TOES = [JOINT_NAMES.index("left_foot"), JOINT_NAMES.index("right_foot")]
FEET = [JOINT_NAMES.index(f"{side}_{name}") for side in ("left", "right") for name in ("ankle", "foot")]


@pytest.fixture(scope="module")
def recorded() -> list[torch.Tensor]:
    return [sample.motion.features for sample in load_samples(check=False)]


def plain(joints: torch.Tensor, fps: float) -> dict[str, float]:
    """The definitions, frame by frame."""
    x = joints.double().numpy()
    frames = len(x)
    weighted, ratio, sliding, near, standing = [], [], [], [], []
    contacts = foot_contacts(joints, fps).numpy()
    for t in range(frames - 1):
        bad = False
        for toe in TOES:
            height = max(x[t, toe, 1], x[t + 1, toe, 1])
            speed = math.dist(x[t, toe, [0, 2]], x[t + 1, toe, [0, 2]]) * fps
            weighted.append(speed * min(max(2 - 2 ** (height / 0.07), 0), 1))
            near.append(height < 0.07)
            if near[-1]:
                sliding.append(speed > 0.3)
            bad |= height < 0.05 and speed > 0.5
        ratio.append(bad)
        for place, foot in enumerate(FEET):
            if contacts[t, place] and contacts[t + 1, place]:
                standing.append(math.dist(x[t, foot, [0, 2]], x[t + 1, foot, [0, 2]]) * fps)
    lowest = x[..., 1].min(1)
    lengths = np.array([[math.dist(x[t, j], x[t, PARENTS[j]]) for j in range(1, 22)] for t in range(frames)])
    change = abs(lengths - lengths.mean(0))
    second = [math.dist(x[t, j] + x[t + 2, j], 2 * x[t + 1, j]) for t in range(frames - 2) for j in range(22)]
    third = [
        math.dist(x[t + 3, j] + 3 * x[t + 1, j], 3 * x[t + 2, j] + x[t, j])
        for t in range(frames - 3)
        for j in range(22)
    ]
    return {
        "skate_weighted": np.mean(weighted), "skate_ratio": np.mean(ratio), "sliding": np.mean(sliding),
        "near_floor": np.mean(near), "skate_contacts": np.mean(standing), "in_contact": contacts.any(1).mean(),
        "float_mm": 1000 * np.where(lowest > 0.005, lowest, 0).mean(),
        "penetration_mm": 1000 * np.where(lowest < -0.005, -lowest, 0).mean(),
        "acceleration_mm": 1000 * np.mean(second), "acceleration_m_s2": np.mean(second) * fps**2,
        "jerk_mm": 1000 * np.mean(third), "jerk_m_s3": np.mean(third) * fps**3,
        "bone_drift_mm": 1000 * change.mean(), "bone_drift_percent": 100 * (change / lengths.mean(0)).mean(),
    }  # fmt: skip


def test_equals_the_plain_definitions(recorded: list[torch.Tensor]) -> None:
    clips = [decode_positions(features)[:60].double() for features in recorded[:6]]
    noise = torch.randn(clips[2].shape, generator=torch.Generator().manual_seed(0))
    clips[2] = clips[2] + 0.02 * noise  # bones that change, feet below the floor
    table = physics_of_clips(clips, 25.0)
    for number, clip in enumerate(clips):
        for name, value in plain(clip, 25.0).items():
            assert table[name][number] == pytest.approx(value, rel=1e-4, abs=1e-7, nan_ok=True), (name, number)


def test_clips_together_are_clips_alone(recorded: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [decode_positions(features) for features in recorded[:7]]
    spoiled = [decode_positions(heading_drift(features)) for features in recorded[:7]]
    whole = physics_of_clips(clips, reference=spoiled, features=recorded[:7])
    monkeypatch.setattr(module, "CLIPS_AT_ONCE", 3)
    parts = physics_of_clips(clips, reference=spoiled, features=recorded[:7])
    for number in range(7):
        alone = physics(clips[number], reference=spoiled[number], features=recorded[number])
        for name in whole:
            for found in (whole[name][number], parts[name][number]):
                np.testing.assert_allclose(found, getattr(alone, name), rtol=1e-5, atol=1e-7)


def sliding_body(speed: float, frames: int = 40, height: float = 0.02) -> torch.Tensor:
    """Everything at rest but for a glide along x at `speed` metres a second; only the toes are near the floor."""
    joints = torch.rand(1, 22, 3, generator=torch.Generator().manual_seed(0)).repeat(frames, 1, 1) + 1
    joints[:, TOES, 1] = height
    joints[..., 0] += torch.arange(frames)[:, None] * speed / 30
    return joints


def test_known_faults() -> None:
    fast, slow, high = physics(sliding_body(0.9)), physics(sliding_body(0.2)), physics(sliding_body(0.9, height=0.4))
    assert (fast.sliding, fast.skate_ratio, fast.near_floor) == (1, 1, 1) and slow.sliding == slow.skate_ratio == 0
    assert fast.skate_weighted == pytest.approx(0.9 * (2 - 2 ** (2 / 7)), rel=1e-4)
    assert math.isnan(high.sliding) and high.skate_weighted == high.near_floor == high.in_contact == 0
    assert high.float_mm == pytest.approx(400) and physics(sliding_body(0.0, height=-0.05)).penetration_mm == (
        pytest.approx(50)
    )
    assert fast.jerk_mm == pytest.approx(0, abs=1e-3) and fast.bone_drift_mm == pytest.approx(0, abs=1e-3)
    given = physics(sliding_body(0.9), contacts=torch.ones(40, 4))
    assert given.skate_contacts == pytest.approx(0.9, rel=1e-4) and given.in_contact == 1
    assert math.isnan(fast.skate_contacts)  # too fast to be found as a contact


def test_units_do_not_depend_on_the_frame_rate() -> None:
    def swing(fps: int) -> Physics:
        angle = 2 * math.pi * torch.arange(2 * fps + 1, dtype=torch.float64) / fps
        joints = sliding_body(0.0, len(angle)).double()
        joints[:, 20, 0] += 0.3 * angle.sin()
        return physics(joints, fps)

    slow, fast = swing(60), swing(120)
    assert fast.jerk_m_s3 == pytest.approx(slow.jerk_m_s3, rel=0.02)
    assert fast.acceleration_m_s2 == pytest.approx(slow.acceleration_m_s2, rel=0.02)
    assert fast.jerk_mm == pytest.approx(slow.jerk_mm / 8, rel=0.02)
    mean = 0.3 * (2 * math.pi) ** 3 * 2 / math.pi / 22  # of |cos|, one joint of 22
    assert slow.jerk_m_s3 == pytest.approx(mean, rel=0.03)


def test_drift_against_a_reference(recorded: list[torch.Tensor]) -> None:
    features = recorded[0]
    real = decode_positions(features)
    angle = torch.tensor(0.8)
    turn = torch.tensor([[math.cos(0.8), 0, math.sin(0.8)], [0, 1, 0], [-math.sin(0.8), 0, math.cos(0.8)]])
    elsewhere = real @ turn.T + torch.tensor([3.0, 0, -2])
    same = physics(elsewhere, reference=real)
    assert same.path_drift_mm == pytest.approx(0, abs=0.01) and same.heading_drift_deg == pytest.approx(0, abs=0.01)
    assert float(facing(elsewhere)[0] - facing(real)[0]) == pytest.approx(float(angle), abs=1e-5)
    turned = physics(decode_positions(heading_drift(features, degrees=30)), reference=real)
    assert turned.heading_drift_deg == pytest.approx((len(real) - 1) / 2, rel=0.01)  # one degree more every frame
    still = sliding_body(0.0)
    assert physics(sliding_body(0.3), reference=still).path_drift_mm == pytest.approx(10 * 39 / 2, rel=1e-3)


def test_facing_is_the_heading_of_a_straight_body() -> None:
    walk = next(s for s in load_samples(check=False) if s.action == "walk").motion
    difference = facing(walk.joints()) - decode_heading(walk.features)
    assert float(torch.atan2(difference.sin(), difference.cos()).abs().rad2deg().mean()) < 15


def test_rotations_against_positions(recorded: list[torch.Tensor]) -> None:
    assert rotations_gap(recorded[0]) < 1
    spoiled = corrupt("random_angles", recorded[0])
    found = physics(decode_positions(spoiled), features=spoiled)
    assert found.rotations_gap_mm > 200 and found.rotations_gap_mm == pytest.approx(rotations_gap(spoiled))
    assert math.isnan(physics(decode_positions(spoiled)).rotations_gap_mm)


def test_the_gaps_of_many_clips_are_those_of_each(
    recorded: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any skeleton, any distance that the clip travels, and any number of clips laid end to end."""
    monkeypatch.setattr(module, "CLIPS_AT_ONCE", 3)
    tall = Skeleton("tall", canonical_skeleton().offsets * 1.2)
    clips = [*recorded[:5], corrupt("random_angles", recorded[5]), corrupt("slide", recorded[6]), recorded[7].half()]
    bones = [None, tall, None, None, tall, None, None, None]
    found = physics_of_clips([decode_positions(clip) for clip in clips], features=clips, skeletons=bones)
    each = [rotations_gap(clip, skeleton) for clip, skeleton in zip(clips, bones, strict=True)]
    np.testing.assert_allclose(found["rotations_gap_mm"], each, rtol=1e-3, atol=1e-3)
    assert each[1] > 50 * each[0]


def test_recorded_motion_and_its_faults(recorded: list[torch.Tensor]) -> None:
    """The values that lesson and report show next to generated motion; and each fault is seen where it should be."""
    real = physics_of([decode_positions(x) for x in recorded], features=recorded)
    assert 0.15 < real["sliding"].value < 0.4 and 8 < real["jerk_mm"].value < 16
    assert real["bone_drift_percent"].value < 0.2 and real["rotations_gap_mm"].value < 1
    assert all(value.low <= value.value <= value.high for value in real.values())

    def spoiled(name: str) -> dict[str, Interval]:
        motions = [corrupt(name, x, recorded[0]) for x in recorded]
        return physics_of([decode_positions(x) for x in motions], features=motions)

    assert spoiled("slide")["sliding"].low > real["sliding"].high
    assert spoiled("noise")["jerk_mm"].low > 5 * real["jerk_mm"].high
    assert spoiled("hold")["jerk_mm"].low > real["jerk_mm"].high
    assert spoiled("tremble")["jerk_mm"].low > real["jerk_mm"].high
    assert spoiled("noise")["bone_drift_percent"].low > 10 * real["bone_drift_percent"].high
    assert spoiled("random_angles")["rotations_gap_mm"].low > 100
    mirrored = spoiled("mirrored")
    assert all(mirrored[name].value == pytest.approx(real[name].value, rel=1e-3, abs=1e-5) for name in real)


def test_floor_and_short_clips(recorded: list[torch.Tensor]) -> None:
    joints = decode_positions(recorded[0])
    low = physics(joints, floor=0.0)
    assert physics(joints + torch.tensor([0, 0.5, 0]), floor=0.5).float_mm == pytest.approx(low.float_mm, rel=1e-3)
    raised = physics(joints + torch.tensor([0, 0.5, 0]), floor=None)
    assert raised.near_floor > 0 == physics(joints + torch.tensor([0, 0.5, 0])).near_floor
    one = physics(joints[:1])
    assert math.isnan(one.jerk_mm) and math.isnan(one.sliding) and one.bone_drift_mm == 0
    summary = physics_of([joints[:1], joints, joints[:3]])
    assert summary["jerk_mm"].n == 1 and summary["float_mm"].n == 3 and "path_drift_mm" not in summary


def test_groups_and_table(recorded: list[torch.Tensor]) -> None:
    clips = [decode_positions(x)[:40] for x in recorded[:6]]
    assert physics_of(clips * 2, groups=list(range(6)) * 2)["jerk_mm"].n == 6
    real = physics_of(clips)
    rows = physics_table({"held": physics_of([decode_positions(corrupt("hold", x))[:40] for x in recorded[:6]])}, real)
    assert rows[0] == ["", "unit", "real", "held", "held / real"]
    jerk = next(row for row in rows if row[0] == "jerk_mm")
    assert jerk[1] == "mm/frame^3" and jerk[2].startswith(f"{real['jerk_mm'].value:.3g} (") and float(jerk[4]) > 1
    assert {len(row) for row in rows} == {5}


def test_wrong_input(recorded: list[torch.Tensor]) -> None:
    joints = decode_positions(recorded[0])
    with pytest.raises(InputError, match=r"clip 0: found shape \(\d+, 21, 3\)"):
        physics(joints[:, 1:])
    with pytest.raises(InputError, match="NaN"):
        physics(joints * math.nan)
    with pytest.raises(InputError, match=r"clip 0: found shape \(5, 4\)"):
        physics(joints, contacts=torch.ones(5, 4))
    with pytest.raises(InputError, match="clip 0"):
        physics(joints, reference=joints[:5])
    with pytest.raises(InputError, match="clips: found 0 for 0"):
        physics_of([])
    with pytest.raises(InputError, match="fps"):
        physics(joints, fps=0)
