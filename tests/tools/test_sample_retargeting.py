"""The retargeting that made the bundled samples: BVH bones keep their direction."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.motion.formats.bvh import BvhClip
from motionlab.motion.retargeting.resampling import frame_times
from motionlab.motion.rotations import matrix_from_6d
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics
from tools.sample_retargeting import _BONE_TO, CMU_MAP, TOES_MAP, BvhMap, least_rotation, retarget_bvh

OFFSETS = canonical_skeleton(torch.float64).offsets


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


def test_frame_rate_is_changed() -> None:
    clip = replace(random_clip(CMU_MAP, seed=2, frames=9), fps=120.0)
    rotations, _ = retarget_bvh(clip, CMU_MAP, fps=30.0)
    every_fourth, _ = retarget_bvh(
        replace(clip, rotations=clip.rotations[::4], root_position=clip.root_position[::4], fps=30.0), CMU_MAP
    )
    torch.testing.assert_close(rotations, every_fourth)
    assert len(frame_times(38 * 0.0333, 30.0)) == 38


def test_one_frame_is_enough() -> None:
    rotations, root = retarget_bvh(random_clip(CMU_MAP, seed=3, frames=1), CMU_MAP)
    assert rotations.shape == (1, 22, 3, 3)
    assert root.shape == (1, 3)


def test_maps_name_known_joints_and_both_sides() -> None:
    for body in (CMU_MAP, TOES_MAP):
        assert set(body.joints) <= set(JOINT_NAMES)
        for ours, theirs in body.joints.items():
            if ours.startswith("left"):
                other = body.joints[ours.replace("left", "right")]
                assert other == theirs.replace("Left", "Right").replace("left", "right") != theirs


def test_a_missing_joint_is_an_input_error() -> None:
    clip = random_clip(CMU_MAP, seed=4)
    with pytest.raises(InputError, match="no joint Ab, Chest"):
        retarget_bvh(clip, TOES_MAP)
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
