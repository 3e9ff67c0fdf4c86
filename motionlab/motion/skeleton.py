"""The body as a tree of 22 joints, and the way from joint angles to joint positions.

The tree (names, order, parents) is the topology of the first 22 SMPL joints, which the 272 features are built on.
The bone lengths are our own: they come from the humanoid of the `pybullet` package (zlib licence; file
`pybullet_data/humanoid/humanoid.urdf`), so no body model has to be downloaded. It is SMPL *topology*, not SMPL
*shape*: joints of this skeleton sit a few centimetres away from those of an SMPL body in the same pose.

Axes: x to the left, y up, z forward, metres. The rest pose is a T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.half_precision import in_float32

# fmt: off
JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)
PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
# MIRROR[j] is the joint on the other side of the body; joints of the middle line map to themselves.
MIRROR: tuple[int, ...] = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20)
# fmt: on
JOINT_COUNT = len(JOINT_NAMES)

# The tree by depth: (children, their parents). Joints of one level do not depend on each other, so forward kinematics
# is 9 batched products instead of 21 single ones.
_LEVELS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]


def _levels() -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    depth = [0] * JOINT_COUNT
    for joint in range(1, JOINT_COUNT):
        depth[joint] = depth[PARENTS[joint]] + 1
    groups = []
    for level in range(1, max(depth) + 1):
        children = tuple(joint for joint in range(JOINT_COUNT) if depth[joint] == level)
        groups.append((children, tuple(PARENTS[joint] for joint in children)))
    return tuple(groups)


_LEVELS = _levels()

# Offset of every joint from its parent in the rest pose. Numbers of the URDF divided by 4 (it is scaled up by 4), axes
# turned from (x forward, y up, z right) to (x left, y up, z forward).
#
# The URDF has 13 joints where this tree has 22, so some bones are divided. Each sum is one number of the URDF, so the
# URDF's own joints stay exactly where they are as long as the added joints do not bend:
#   spine1 + spine2            = root -> chest        (0, 0.236151, 0)
#   spine3 + neck              = chest -> neck        (0, 0.223894, 0)
#   spine3 + collar + shoulder = chest -> shoulder    (+-0.18311, 0.2435, -0.02405)
# The head is the centre of the head sphere, the foot is the middle of the sole's front edge.
_OFFSETS: tuple[tuple[float, float, float], ...] = (
    (0.0, 0.0, 0.0),  # pelvis: placed by the root position
    (0.084887, 0.0, 0.0),  # left_hip
    (-0.084887, 0.0, 0.0),  # right_hip
    (0.0, 0.1, 0.0),  # spine1
    (0.0, -0.421546, 0.0),  # left_knee
    (0.0, -0.421546, 0.0),  # right_knee
    (0.0, 0.136151, 0.0),  # spine2: the URDF's chest
    (0.0, -0.40987, 0.0),  # left_ankle
    (0.0, -0.40987, 0.0),  # right_ankle
    (0.0, 0.06, 0.0),  # spine3
    (0.0, -0.05, 0.1335),  # left_foot
    (0.0, -0.05, 0.1335),  # right_foot
    (0.0, 0.163894, 0.0),  # neck
    (0.075, 0.15, -0.015),  # left_collar
    (-0.075, 0.15, -0.015),  # right_collar
    (0.0, 0.175, 0.0),  # head
    (0.10811, 0.0335, -0.00905),  # left_shoulder
    (-0.10811, 0.0335, -0.00905),  # right_shoulder
    (0.274788, 0.0, 0.0),  # left_elbow: along the arm, which points sideways in a T-pose
    (-0.274788, 0.0, 0.0),  # right_elbow
    (0.258947, 0.0, 0.0),  # left_wrist
    (-0.258947, 0.0, 0.0),  # right_wrist
)


@dataclass(frozen=True)
class Skeleton:
    """Bone lengths for the tree of 22 joints.

    Args:
        name: what to call it in messages.
        offsets: `[22, 3]` metres, joint relative to its parent in the rest pose; row 0 is not used.
    """

    name: str
    offsets: Tensor

    def __post_init__(self) -> None:
        if tuple(self.offsets.shape) != (JOINT_COUNT, 3):
            raise InputError(
                f"skeleton {self.name}",
                found=f"offsets of shape {tuple(self.offsets.shape)}",
                expected=f"({JOINT_COUNT}, 3)",
                fix="Give one offset from its parent for each joint of JOINT_NAMES.",
            )

    @classmethod
    def measure(cls, joints: Tensor, rotations: Tensor, name: str = "measured") -> Skeleton:
        """Recover the offsets of the body that made a motion (a mean over all frames).

        Args:
            joints: `[..., 22, 3]` metres.
            rotations: `[..., 22, 3, 3]`, local.
        """
        orientation = global_rotations(rotations)
        bones = joints[..., 1:, :] - joints[..., PARENTS[1:], :]  # [..., 21, 3], world axes
        local = (orientation[..., PARENTS[1:], :, :].mT @ bones[..., None])[..., 0]  # [..., 21, 3], axes of the parent
        mean = local.reshape(-1, JOINT_COUNT - 1, 3).mean(0)
        return cls(name, torch.cat((mean.new_zeros(1, 3), mean)))


def canonical_skeleton(dtype: torch.dtype = torch.float32) -> Skeleton:
    """The skeleton that every bundled sample is retargeted to, 1.5 m from toe to head centre.

    >>> canonical_skeleton().offsets.shape
    torch.Size([22, 3])
    """
    return Skeleton("canonical", torch.tensor(_OFFSETS, dtype=dtype))


@in_float32
def global_rotations(rotations: Tensor) -> Tensor:
    """Local rotations to world rotations: a joint's world rotation is its parent's times its own.

    Args:
        rotations: `[..., 22, 3, 3]`, each relative to the parent.

    Returns:
        `[..., 22, 3, 3]`, each relative to the world.
    """
    result: list[Tensor] = [rotations[..., 0, :, :]] * JOINT_COUNT
    for children, parents in _LEVELS:
        above = torch.stack([result[parent] for parent in parents], dim=-3)  # [..., level, 3, 3]
        here = above @ rotations[..., children, :, :]
        for position, child in enumerate(children):
            result[child] = here[..., position, :, :]
    return torch.stack(result, dim=-3)


@in_float32
def forward_kinematics(rotations: Tensor, root_position: Tensor, offsets: Tensor) -> Tensor:
    """Joint positions from joint angles: every bone is its rest offset, turned by its parent's world rotation.

    Args:
        rotations: `[..., 22, 3, 3]`, local.
        root_position: `[..., 3]` metres, the pelvis.
        offsets: `[22, 3]` metres.

    Returns:
        `[..., 22, 3]` metres.

    >>> rest = torch.eye(3).expand(22, 3, 3)
    >>> joints = forward_kinematics(rest, torch.tensor([0.0, 0.9, 0.0]), canonical_skeleton().offsets)
    >>> joints[JOINT_NAMES.index("left_hip")]
    tensor([0.0849, 0.9000, 0.0000])
    """
    offsets = offsets.to(rotations)
    orientation = global_rotations(rotations)
    bones = (orientation[..., PARENTS[1:], :, :] @ offsets[1:, :, None])[..., 0]  # [..., 21, 3], world axes
    result: list[Tensor] = [root_position] * JOINT_COUNT
    for children, _ in _LEVELS:
        for child in children:
            result[child] = result[PARENTS[child]] + bones[..., child - 1, :]
    return torch.stack(result, dim=-2)
