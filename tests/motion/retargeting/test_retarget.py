"""Retargeting: DeepMimic's own joints are kept exactly; BVH bones keep their direction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.data.composed.samples import load_samples
from motionlab.errors import InputError
from motionlab.motion.formats.bvh import BvhClip, read_bvh
from motionlab.motion.formats.bvh_write import write_bvh
from motionlab.motion.formats.deepmimic import ANGLES, QUATERNIONS, read_deepmimic, retarget_deepmimic
from motionlab.motion.retargeting.resampling import frame_times
from motionlab.motion.retargeting.retarget import (
    _BONE_TO,
    CMU_MAP,
    KNOWN_MAPS,
    OWN_MAP,
    TOES_MAP,
    BvhMap,
    find_map,
    least_rotation,
    retarget_bvh,
)
from motionlab.motion.rotations import matrix_from_6d
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics

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


def random_clip(body: BvhMap, seed: int, frames: int = 3) -> BvhClip:
    """A BVH body with the joints of a map, odd bone lengths and directions, and an extra joint in each bone's way."""
    generator = torch.Generator().manual_seed(seed)
    names: list[str] = []
    parents: list[int] = []
    for name, parent in zip(JOINT_NAMES, PARENTS, strict=True):
        if name not in body.joints:
            continue
        while parent >= 0 and JOINT_NAMES[parent] not in body.joints:
            parent = PARENTS[parent]
        above = -1 if parent < 0 else names.index(body.joints[JOINT_NAMES[parent]])
        if above >= 0:
            names.append(f"helper_{name}")
            parents.append(above)
            above = len(names) - 1
        names.append(body.joints[name])
        parents.append(above)
    shape = (frames, len(names))
    return BvhClip(
        names=tuple(names),
        parents=tuple(parents),
        offsets=torch.randn(len(names), 3, generator=generator, dtype=torch.float64) * 20,
        rotations=matrix_from_6d(torch.randn(*shape, 6, generator=generator, dtype=torch.float64)),
        root_position=torch.randn(frames, 3, generator=generator, dtype=torch.float64) * 50,
        fps=30.0,
    )


@pytest.mark.parametrize("body", [CMU_MAP, TOES_MAP], ids=lambda body: body.name)
def test_bvh_bones_keep_their_direction(body: BvhMap) -> None:
    clip = random_clip(body, seed=1)
    # Helpers that do not bend: a bone then goes straight from mapped joint to mapped joint.
    still = [index for index, name in enumerate(clip.names) if name.startswith("helper")]
    clip.rotations[:, still] = torch.eye(3, dtype=torch.float64)
    rotations, root = retarget_bvh(clip, body)
    ours, theirs = forward_kinematics(rotations, root, OFFSETS), clip.joints()
    checked = 0
    for start, end in _BONE_TO.items():
        if start in body.joints and end in body.joints:
            mine = ours[:, JOINT_NAMES.index(end)] - ours[:, JOINT_NAMES.index(start)]
            other = theirs[:, clip.names.index(body.joints[end])] - theirs[:, clip.names.index(body.joints[start])]
            torch.testing.assert_close(
                torch.nn.functional.normalize(mine, dim=-1), torch.nn.functional.normalize(other, dim=-1)
            )
            checked += 1
    assert checked >= 14


def test_own_files_come_back_unchanged_at_any_scale(tmp_path: Path) -> None:
    motion = next(sample.motion for sample in load_samples() if sample.name == "kick")
    write_bvh(tmp_path / "kick.bvh", motion)
    clip = read_bvh(tmp_path / "kick.bvh")
    assert find_map(clip) is OWN_MAP
    expected = motion.joints("rotations").double()
    for scale in (1.0, 100.0):
        scaled = replace(clip, offsets=clip.offsets * scale, root_position=clip.root_position * scale)
        rotations, root = retarget_bvh(scaled, OWN_MAP)
        joints = forward_kinematics(rotations, root, OFFSETS)
        torch.testing.assert_close(joints, expected, atol=1e-5, rtol=0)


def test_axes_of_the_file_are_turned(tmp_path: Path) -> None:
    motion = load_samples()[0].motion
    write_bvh(tmp_path / "walk.bvh", motion)
    clip = read_bvh(tmp_path / "walk.bvh")
    # The same motion in a file with z up: (x, y, z) -> (x, -z, y) for every point and frame of reference.
    to_file = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    z_up = replace(
        clip,
        offsets=clip.offsets @ to_file.T,
        rotations=to_file @ clip.rotations @ to_file.T,
        root_position=clip.root_position @ to_file.T,
    )
    body = replace(OWN_MAP, axes=tuple(map(tuple, to_file.T.tolist())))
    for got, expected in zip(retarget_bvh(z_up, body), retarget_bvh(clip, OWN_MAP), strict=True):
        torch.testing.assert_close(got, expected)


def test_frame_rate_is_changed() -> None:
    clip = replace(random_clip(CMU_MAP, seed=2, frames=9), fps=120.0)
    rotations, _ = retarget_bvh(clip, CMU_MAP, fps=30.0)
    every_fourth, _ = retarget_bvh(
        replace(clip, rotations=clip.rotations[::4], root_position=clip.root_position[::4], fps=30.0), CMU_MAP
    )
    torch.testing.assert_close(rotations, every_fourth)
    assert len(frame_times(38 * 0.033332, 30.0)) == 38


def test_one_frame_is_enough() -> None:
    rotations, root = retarget_bvh(random_clip(CMU_MAP, seed=3, frames=1), CMU_MAP)
    assert rotations.shape == (1, 22, 3, 3)
    assert root.shape == (1, 3)


def test_maps_name_known_joints_and_both_sides() -> None:
    for body in KNOWN_MAPS:
        assert set(body.joints) <= set(JOINT_NAMES)
        for ours, theirs in body.joints.items():
            if ours.startswith("left"):
                other = body.joints[ours.replace("left", "right")]
                assert other == theirs.replace("Left", "Right").replace("left", "right") != theirs


def test_unknown_body_and_missing_joint_are_input_errors() -> None:
    clip = random_clip(CMU_MAP, seed=4)
    assert find_map(clip) is CMU_MAP
    with pytest.raises(InputError, match="no joint Ab, Chest"):
        retarget_bvh(clip, TOES_MAP)
    with pytest.raises(InputError, match=r"dog\.bvh: found joints tail"):
        find_map(replace(clip, names=("tail",) * len(clip.names)), "dog.bvh")
    with pytest.raises(InputError, match="legs without length"):
        retarget_bvh(replace(clip, offsets=clip.offsets * 0), CMU_MAP)


vectors = st.tuples(*[st.floats(-1, 1).map(lambda x: round(x, 3))] * 3)


@settings(max_examples=60, deadline=None)
@given(vectors, vectors)
def test_least_rotation_turns_one_direction_into_the_other(start: tuple[float, ...], end: tuple[float, ...]) -> None:
    a, b = torch.tensor(start, dtype=torch.float64), torch.tensor(end, dtype=torch.float64)
    rotation = least_rotation(a, b)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(rotation) > 0
    if a.norm() * b.norm() > 1e-9:
        torch.testing.assert_close(rotation @ (a / a.norm()), b / b.norm(), atol=1e-7, rtol=0)
        cosine = (a @ b) / (a.norm() * b.norm())
        assert torch.trace(rotation) == pytest.approx(float(1 + 2 * cosine), abs=1e-7)  # no more turn than needed
    else:
        assert torch.equal(rotation, torch.eye(3, dtype=torch.float64))
