"""Write the 263 numbers of HumanML3D (Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", 2022).

They are made from places of joints only, at 20 frames per second, and a frame has the step to the next one, so T frames
become T - 1 rows:

| slice   | size | content                                                                                      |
|---------|------|----------------------------------------------------------------------------------------------|
| 0       | 1    | half the turn about y to the next frame, radians                                             |
| 1:3     | 2    | step of the pelvis to the next frame (x, z), in the facing of the NEXT frame                  |
| 3       | 1    | height of the pelvis                                                                         |
| 4:67    | 63   | joints 1 to 21, pelvis at x = z = 0, facing +z                                               |
| 67:193  | 126  | 21 x 6D, the first two COLUMNS, entry j for the bone that ENDS at joint j                     |
| 193:259 | 66   | steps of all joints to the next frame, in the facing of this one                              |
| 259:263 | 4    | left ankle, left foot, right ankle, right foot: moved less than sqrt(0.002) m to the next frame |

The 6D entries are no rotations of a body: each is the least rotation that turns a bone from its direction in a rest
pose with hanging arms, along five chains that all begin at the turn of the root. The twist of a limb is not in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import atomic_path
from motionlab.motion.formats.facing import facing, turn_to_z
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import quaternion_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES

FPS = 20.0
DIM = 263
STILL = 0.002  # square metres: a foot whose squared step is smaller stands
CHAINS = (
    (0, 2, 5, 8, 11),
    (0, 1, 4, 7, 10),
    (0, 3, 6, 9, 12, 15),
    (9, 14, 17, 19, 21),
    (9, 13, 16, 18, 20),
)
_FEET = (7, 10, 8, 11)
# Direction of the bone that ends at each joint, in the rest pose.
_LEFT, _UP, _AHEAD = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_RIGHT, _DOWN = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)
_SPECIAL = {
    **{"left_hip": _LEFT, "right_hip": _RIGHT, "left_collar": _LEFT, "right_collar": _RIGHT},
    **{"spine1": _UP, "spine2": _UP, "spine3": _UP, "neck": _UP},
    **{"left_foot": _AHEAD, "right_foot": _AHEAD, "head": _AHEAD},
}
REST_BONES = tuple(_SPECIAL.get(name, _DOWN) for name in JOINT_NAMES)


def encode_263(joints: Tensor) -> Tensor:
    """Joints `[T, 22, 3]` (metres, y up, 20 frames per second) to `[T - 1, 263]`.

    The original also gives every body the bone lengths of one person first; here bones stay as they are.

    Raises:
        InputError: fewer than two frames.
    """
    if len(joints) < 2:
        raise InputError(
            "motion", found=f"{len(joints)} frame at {FPS:g} fps", expected="at least two", fix="Use a longer motion."
        )
    places = _faced(joints.double())  # [T, 22, 3]
    turn = turn_to_z(facing(_across(places)))  # [T, 3, 3]
    turn[0] = torch.eye(3, dtype=turn.dtype)  # as the original does: the first frame faces +z already
    change = turn[1:] @ turn[:-1].mT  # [T-1, 3, 3]
    half = torch.atan2(change[:, 0, 2], change[:, 2, 2]) / 2
    step = places[1:] - places[:-1]  # [T-1, 22, 3]
    root_step = (turn[1:] @ step[:, 0, :, None])[..., 0]  # [T-1, 3]
    local = places - places[:, :1] * places.new_tensor([1.0, 0.0, 1.0])
    local = local @ turn.mT  # [T, 22, 3]: rows of `local` are vectors
    still = step[:, _FEET].square().sum(-1) < STILL  # [T-1, 4]
    parts = (
        half[:, None],
        root_step[:, [0, 2]],
        places[:-1, 0, 1:2],
        local[:-1, 1:].flatten(1),
        _bone_turns(places, turn)[:-1].flatten(1),
        (step @ turn[:-1].mT).flatten(1),
        still.to(places.dtype),
    )
    return torch.cat(parts, dim=1)


def _faced(joints: Tensor) -> Tensor:
    """On the floor, the first pelvis at x = z = 0, the first frame facing +z."""
    places = joints - joints.new_tensor([0.0, 1.0, 0.0]) * joints[..., 1].min()
    places = places - places[0, 0] * places.new_tensor([1.0, 0.0, 1.0])
    first = places[:1]
    across = first[:, 1] - first[:, 2] + first[:, 16] - first[:, 17]  # hips and shoulders, right to left
    return places @ turn_to_z(facing(across)).mT


def _across(places: Tensor) -> Tensor:
    """The line that the original turns each frame by, `[T, 3]`.

    It means to add hips and shoulders, but its two functions name the hips in opposite order: the hips are taken away.
    (So the shoulders win, being wider.) Kept, or the numbers would not be those that models were trained on.
    """
    return places[:, 16] - places[:, 17] - (places[:, 1] - places[:, 2])


def _bone_turns(places: Tensor, turn: Tensor) -> Tensor:
    """`[T, 21, 6]`: along each chain, the turn of a bone in the frame of the bone before it; columns 0 and 1."""
    result = [turn] * len(JOINT_NAMES)
    for chain in CHAINS:
        above = turn
        for start, end in zip(chain[:-1], chain[1:], strict=True):
            rest = places.new_tensor(REST_BONES[end]).expand(len(places), 3)
            here = least_turn(rest, places[:, end] - places[:, start])  # [T, 3, 3]
            result[end] = above.mT @ here
            above = here
    matrices = torch.stack(result[1:], dim=1)  # [T, 21, 3, 3]
    return matrices[..., :2].mT.flatten(-2)


def least_turn(start: Tensor, end: Tensor) -> Tensor:
    """The smallest rotation from each direction `[T, 3]` to the other, `[T, 3, 3]`; half a turn for opposite ones."""
    start, end = (value / value.norm(dim=-1, keepdim=True).clamp(min=1e-12) for value in (start, end))
    quaternion = torch.cat((1 + (start * end).sum(-1, keepdim=True), torch.linalg.cross(start, end)), dim=-1)
    side = torch.roll(start, 1, dims=-1)  # rest bones lie along an axis, so this is across them
    opposite = torch.cat((torch.zeros_like(side[:, :1]), side), dim=-1)
    return quaternion_to_matrix(torch.where(quaternion.norm(dim=-1, keepdim=True) < 1e-6, opposite, quaternion))


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    values = encode_263(motion.joints().detach().cpu()).numpy().astype(np.float32)
    with atomic_path(path) as temporary:
        np.save(temporary, values)


WRITER = Writer(
    name="HumanML3D 263",
    key="263",
    suffixes=(".npy",),
    loses="the last frame, twist of the limbs, a frame rate other than 20",
    write=_write,
    fps=FPS,
)
