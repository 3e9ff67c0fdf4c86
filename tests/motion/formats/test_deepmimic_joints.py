"""DeepMimic's own joints are kept exactly, and its own clock."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from motionlab.motion.formats.deepmimic import ANGLES, QUATERNIONS, read_deepmimic, retarget_deepmimic
from motionlab.motion.skeleton import JOINT_NAMES, canonical_skeleton, forward_kinematics

OFFSETS = canonical_skeleton(torch.float64).offsets

# Written down again from the public URDF (divided by its scale of 4): joint, parent, place in the parent; axes x
# forward, y up, z right. The body of this package must agree with it, not the other way round.
URDF = {
    "chest": ("root", (0.0, 0.944604, 0.0)),
    "neck": ("chest", (0.0, 0.895576, 0.0)),
    "right_hip": ("root", (0.0, 0.0, 0.339548)),
    "right_knee": ("right_hip", (0.0, -1.686184, 0.0)),
    "right_ankle": ("right_knee", (0.0, -1.639480, 0.0)),
    "right_shoulder": ("chest", (-0.096200, 0.974000, 0.732440)),
    "right_elbow": ("right_shoulder", (0.0, -1.099152, 0.0)),
    "right_wrist": ("right_elbow", (0.0, -1.035788, 0.0)),
}
URDF |= {
    joint.replace("right", "left"): (parent.replace("right", "left"), (x, y, -z))
    for joint, (parent, (x, y, z)) in URDF.items()
    if "right" in joint
}


def turn(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """q v q*, written with cross products: nothing shared with the code under test."""
    w, axis = quaternion[0], quaternion[1:]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([a[0] * b[0] - a[1:] @ b[1:], *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


def urdf_joints(row: np.ndarray) -> dict[str, np.ndarray]:
    """Forward kinematics of one DeepMimic row."""
    local = {joint: row[start : start + 4] for joint, start in QUATERNIONS.items()}
    local |= {j: np.array([np.cos(row[c] / 2), 0, 0, np.sin(row[c] / 2)]) for j, c in ANGLES.items()}
    places, world = {"root": row[1:4]}, {"root": local["root"]}
    for joint, (parent, offset) in URDF.items():
        places[joint] = places[parent] + turn(world[parent], np.array(offset) / 4)
        world[joint] = multiply(world[parent], local.get(joint, np.array([1.0, 0, 0, 0])))
    return places


def random_rows(seed: int, frames: int = 4) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(frames, 44))
    rows[:, 0] = 1 / 30
    for start in QUATERNIONS.values():
        rows[:, start : start + 4] /= np.linalg.norm(rows[:, start : start + 4], axis=1, keepdims=True)
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_deepmimic_joints_are_kept(seed: int) -> None:
    rows = random_rows(seed)
    clip = read_deepmimic(json.dumps({"Frames": rows.tolist()}).encode())
    rotations, root = retarget_deepmimic(clip, fps=30.0)
    joints = forward_kinematics(rotations, root, OFFSETS)
    assert len(joints) == 4
    names = {"root": "pelvis", "chest": "spine2"}
    for frame, row in enumerate(rows):
        for joint, (x, y, z) in urdf_joints(row).items():
            ours = joints[frame, JOINT_NAMES.index(names.get(joint, joint))]
            np.testing.assert_allclose(ours, (-z, y, x), atol=1e-9)  # x left, y up, z forward


def test_deepmimic_is_resampled_by_its_own_clock() -> None:
    rows = random_rows(0, frames=3)
    rows[:, 0] = (0.05, 0.15, 0.0)
    rows[:, 1] = (0.0, 1.0, 4.0)
    clip = read_deepmimic(json.dumps({"Frames": rows.tolist()}).encode())
    rotations, root = retarget_deepmimic(clip, fps=20.0)  # every 0.05 s
    forward = root[:, 2]  # x forward becomes z
    np.testing.assert_allclose(forward, [0, 1, 2, 3, 4], atol=1e-9)
    identity = torch.eye(3, dtype=torch.float64).expand(*rotations.shape[:2], 3, 3)
    torch.testing.assert_close(rotations @ rotations.mT, identity)
