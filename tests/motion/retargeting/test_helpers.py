"""Network output on the CMU body: helper joints above hips, knees and arms with 90 to 105 degrees in every frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.motion.formats.source import SourceMotion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.retargeting.verdict import judge
from motionlab.motion.skeleton import PARENTS
from tests.motion.retargeting.bodies import AT, Rig, deviations, sample, source_of, turned

CMU = {  # ours to CMU's
    "pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck", "head": "Head",
} | {
    f"{side}_{ours}": side.title() + theirs
    for side in ("left", "right")
    for ours, theirs in (("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"),
                         ("collar", "Shoulder"), ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"))
}  # fmt: skip
HIPS = {"pelvis": ("left_hip", "right_hip")}
CHEST = {"spine3": ("left_collar", "right_collar", "neck")}
LIMBS = {f"{side}_{joint}": (f"{side}_{end}",) for side in ("left", "right") for joint, end in (
    ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"))}  # fmt: skip


def wild(frames: int, seed: int) -> np.ndarray:
    """Turns of 90 to 105 degrees about an axis that wanders, `[T, 3, 3]`."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 2 * np.pi, frames)[:, None]
    axis = rng.normal(size=3) + 0.6 * np.sin(time * rng.uniform(1, 3, size=3))
    axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.radians(97.5 + 7.5 * np.sin(3 * time[:, 0]))[:, None, None]
    cross = np.cross(np.eye(3), axis[:, None, :])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def network_output(name: str, helped: dict[str, tuple[str, ...]]) -> SourceMotion:
    """Joints of `helped` are turned wildly, and a helper in the same place above each child turns back."""
    source = source_of(sample(name), Rig(scale=17))
    assert source.rotations is not None and source.rest is not None
    names: list[str] = []
    parents: list[int] = []
    from_ours: list[int] = []
    at: dict[str, int] = {}
    for joint, ours in enumerate(AT):
        parent = -1 if joint == 0 else at[list(AT)[PARENTS[joint]]]
        above = list(AT)[PARENTS[joint]] if joint else ""
        if ours in helped.get(above, ()):
            names.append(f"{CMU[ours][0]}Helper{len(names)}")
            parents.append(parent)
            from_ours.append(AT[above])
            parent = len(names) - 1
        at[ours] = len(names)
        names.append(CMU[ours])
        parents.append(parent)
        from_ours.append(joint)
    rotations = source.rotations[:, from_ours].clone()
    for number, ours in enumerate(helped):
        rotations[:, at[ours]] = rotations[:, at[ours]] @ torch.from_numpy(wild(len(source), number))
    return SourceMotion(
        name, tuple(names), tuple(parents), source.times, source.positions[:, from_ours], rotations,
        source.rest[from_ours],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["walk", "cmu_jump_7", "kick", "cmu_walk_turn_right"])
@pytest.mark.parametrize("helped", [HIPS, HIPS | CHEST, HIPS | CHEST | LIMBS], ids=["hips", "chest", "limbs"])
def test_directions_are_right_and_turns_are_close(name: str, helped: dict[str, tuple[str, ...]]) -> None:
    source = network_output(name, helped)
    result = retarget(source)
    found = deviations(result)
    assert found["limbs"] < 1 and found["hips"] < 1 and found["heading"] < 1 and found["shoulders"] < 5
    assert found["trunk"] < 6
    assert judge(result.motion, result.reference, source.fps, result.doubts).verdict == "right"
    motion = sample(name)
    angle = np.median(turned(result.motion.rotations(), motion.rotations()), axis=0)
    assert np.median(angle) < 15 and angle.max() < 70
    assert any("move against" in note for note in result.notes)
