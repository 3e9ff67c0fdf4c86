"""The tree of joints and forward kinematics."""

import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import (
    JOINT_NAMES,
    MIRROR,
    PARENTS,
    Skeleton,
    canonical_skeleton,
    forward_kinematics,
    global_rotations,
)

INDEX = {name: index for index, name in enumerate(JOINT_NAMES)}


def random_rotations(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return axis_angle_to_matrix(torch.randn(*shape, 22, 3, generator=generator, dtype=torch.float64))


def test_parents_come_before_their_children_and_names_are_unique():
    assert len(JOINT_NAMES) == len(PARENTS) == len(set(JOINT_NAMES)) == 22
    assert PARENTS[0] == -1
    assert all(PARENTS[joint] < joint for joint in range(22))


def test_mirror_swaps_the_words_left_and_right_and_keeps_the_tree():
    for joint, other in enumerate(MIRROR):
        swapped = JOINT_NAMES[joint].replace("left", "?").replace("right", "left").replace("?", "right")
        assert JOINT_NAMES[other] == swapped
        if joint:
            assert PARENTS[other] == MIRROR[PARENTS[joint]]


def test_canonical_skeleton_is_symmetric():
    offsets = canonical_skeleton(torch.float64).offsets
    assert torch.equal(offsets[list(MIRROR)] * torch.tensor([-1.0, 1, 1]), offsets)


def test_split_bones_keep_the_joints_of_the_source_skeleton():
    """The sums are numbers of the URDF divided by 4; see the comment in motion/skeleton.py."""
    offsets = canonical_skeleton(torch.float64).offsets
    rest = torch.eye(3, dtype=torch.float64).expand(22, 3, 3)
    joints = forward_kinematics(rest, torch.zeros(3, dtype=torch.float64), offsets)
    expected = {
        "spine2": (0, 0.944604 / 4, 0),
        "neck": (0, (0.944604 + 0.895576) / 4, 0),
        "left_shoulder": (0.732440 / 4, (0.944604 + 0.974000) / 4, -0.0962 / 4),
        "right_hip": (-0.339548 / 4, 0, 0),
        "right_ankle": (-0.339548 / 4, -(1.686184 + 1.639480) / 4, 0),
        "left_wrist": ((0.732440 + 1.099152 + 1.035788) / 4, (0.944604 + 0.974000) / 4, -0.0962 / 4),
    }
    for name, position in expected.items():
        torch.testing.assert_close(joints[INDEX[name]], torch.tensor(position, dtype=torch.float64), atol=1e-12, rtol=0)


def test_forward_kinematics_equals_the_plain_loop():
    rotations, offsets = random_rotations(4), canonical_skeleton(torch.float64).offsets
    root = torch.randn(4, 3, dtype=torch.float64)
    joints = forward_kinematics(rotations, root, offsets)
    for frame in range(4):
        world: list[torch.Tensor] = []
        position: list[torch.Tensor] = []
        for joint, parent in enumerate(PARENTS):
            local = rotations[frame, joint]
            world.append(local if parent < 0 else world[parent] @ local)
            position.append(root[frame] if parent < 0 else position[parent] + world[parent] @ offsets[joint])
        torch.testing.assert_close(joints[frame], torch.stack(position))
        torch.testing.assert_close(global_rotations(rotations)[frame], torch.stack(world))


def test_bending_the_left_elbow_moves_only_the_left_wrist():
    rest = torch.eye(3, dtype=torch.float64).repeat(22, 1, 1)
    bent = rest.clone()
    bent[INDEX["left_elbow"]] = axis_angle_to_matrix(torch.tensor([0, 0, math.pi / 2], dtype=torch.float64))
    offsets, root = canonical_skeleton(torch.float64).offsets, torch.zeros(3, dtype=torch.float64)
    moved = (forward_kinematics(bent, root, offsets) - forward_kinematics(rest, root, offsets)).norm(dim=-1)
    assert moved.nonzero().flatten().tolist() == [INDEX["left_wrist"]]


def test_measure_recovers_the_bones():
    rotations, offsets = random_rotations(10), canonical_skeleton(torch.float64).offsets
    joints = forward_kinematics(rotations, torch.randn(10, 3, dtype=torch.float64), offsets)
    torch.testing.assert_close(Skeleton.measure(joints, rotations).offsets, offsets)


def test_wrong_number_of_joints_is_an_input_error():
    with pytest.raises(InputError, match=r"skeleton smpl: found offsets of shape \(24, 3\)"):
        Skeleton("smpl", torch.zeros(24, 3))
