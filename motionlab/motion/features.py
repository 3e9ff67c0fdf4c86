"""The 272 features of a frame: what the networks see. Encode and decode, exactly.

For every frame the body is moved to the origin and turned to face +z, so that the same step looks the same wherever
it is taken. The removed part is kept as a velocity:

| slice   | size | content                                                                                     |
|---------|------|---------------------------------------------------------------------------------------------|
| 0:2     | 2    | pelvis velocity (x, z) in the heading frame of the PREVIOUS frame, metres per frame           |
| 2:8     | 6    | heading change since the previous frame, as 6D rotation; cosine in 2, sine in 4             |
| 8:74    | 66   | joint positions, heading removed, pelvis at x = z = 0, y above the floor, metres            |
| 74:140  | 66   | change of the slice 8:74 since the previous frame                                           |
| 140:272 | 132  | local joint rotations, 22 x 6D; the root's has its heading removed                          |

Row 0 has zero velocities and no heading change. Velocities are per FRAME, so the same motion at 60 and at 30 frames
a second has different features. The representation is that of HumanML3D-272 / MotionMillion (Xiao et al.,
"MotionStreamer", 2025; Fan et al., "Go to Zero", 2025); the formulas were written from scratch and are checked against
files made by the original scripts.

There are two ways back: `decode_positions` (exact joints, bone lengths may vary if a network made them) and
`decode_rotations` (joint angles for forward kinematics, for BVH and for characters).
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.half_precision import HALF, in_float32
from motionlab.motion.rotations import (
    heading_vector,
    matrix_from_6d,
    matrix_to_6d,
    yaw_matrix,
    yaw_matrix_of,
)
from motionlab.motion.skeleton import JOINT_COUNT

DIM = 272
ROOT_VELOCITY = slice(0, 2)
HEADING = slice(2, 8)
POSITIONS = slice(8, 74)
VELOCITIES = slice(74, 140)
ROTATIONS = slice(140, 272)
FEATURE_SLICES: dict[str, slice] = {
    "root_velocity": ROOT_VELOCITY,
    "heading": HEADING,
    "positions": POSITIONS,
    "velocities": VELOCITIES,
    "rotations": ROTATIONS,
}
# Row 0 of 2:8: no turn. (It is the 6D notation of the identity.)
NO_TURN = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_AT_REST = torch.tensor((0.0, 0.0, *NO_TURN))  # row 0 of 0:8


@in_float32
def encode(joints: Tensor, rotations: Tensor, ground: bool = True) -> Tensor:
    """Joints and local rotations to features.

    Args:
        joints: `[..., T, 22, 3]` metres, y up.
        rotations: `[..., T, 22, 3, 3]`, each relative to its parent.
        ground: put the lowest joint of the whole clip at y = 0, as the data sets do. `False` keeps the heights, for
            a part of a clip whose floor is already known.

    Returns:
        `[..., T, 272]`.
    """
    root = joints[..., 0, :]  # [..., T, 3]
    floor = joints[..., 1].amin(dim=(-2, -1)) if ground else torch.zeros_like(joints[..., 0, 0, 0])  # [...]
    floor = floor[..., None, None]  # [..., 1, 1]
    local = torch.stack(
        (
            joints[..., 0] - root[..., None, 0],
            joints[..., 1] - floor,
            joints[..., 2] - root[..., None, 2],
        ),
        dim=-1,
    )  # [..., T, 22, 3], pelvis at x = z = 0

    cosine, sine = heading_vector(rotations[..., 0, :, :])
    unturn = yaw_matrix_of(cosine, -sine)  # [..., T, 3, 3], turns the heading away
    facing = local @ unturn.mT  # [..., T, 22, 3]; rows of `local` are vectors, so this is unturn @ vector

    step = root[..., 1:, :] - root[..., :-1, :]  # [..., T-1, 3]
    step = (unturn[..., :-1, :, :] @ step[..., None])[..., 0]
    turn = unturn[..., 1:, :, :] @ unturn[..., :-1, :, :].mT  # [..., T-1, 3, 3]
    positions = facing.flatten(-2)  # [..., T, 66]
    free_root = unturn @ rotations[..., 0, :, :]
    free = torch.cat((free_root[..., None, :, :], rotations[..., 1:, :, :]), dim=-3)
    return torch.cat(
        (
            _pad_first(step[..., [0, 2]]),
            torch.cat((_no_turn(turn), matrix_to_6d(turn)), dim=-2),
            positions,
            _pad_first(positions[..., 1:, :] - positions[..., :-1, :]),
            matrix_to_6d(free).flatten(-2),
        ),
        dim=-1,
    )


@in_float32
def encode_positions(joints: Tensor, ground: bool = True) -> Tensor:
    """The features that joints alone determine, `[..., T, 22, 3] -> [..., T, 140]`: all but the rotations.

    The heading is that of the pelvis, which turns with three joints that hang on it: its x axis lies along the hips and
    its y axis points to the spine, as in the canonical skeleton. (In another skeleton, where they do not, it differs
    from `encode`'s by a nearly constant angle.) `ground` as in `encode`.
    """
    pelvis, left, right, spine = joints[..., :4, :].unbind(-2)  # [..., T, 3] each
    axes = matrix_from_6d(torch.cat((left - right, spine - pelvis), dim=-1))  # [..., T, 3, 3], an axis a row
    rotations = axes.mT[..., None, :, :].expand(*joints.shape, 3)  # [..., T, 22, 3, 3]; all but the first are dropped
    return encode(joints, rotations, ground)[..., : ROTATIONS.start]


@in_float32
def decode_positions(features: Tensor) -> Tensor:
    """Features to joint positions, by the slice 8:74. `[..., T, 272] -> [..., T, 22, 3]` metres.

    The result starts above the origin, facing +z (when row 0 holds no turn).
    """
    turn, travel = _integrate_root(features)
    facing: Tensor = features[..., POSITIONS].unflatten(-1, (JOINT_COUNT, 3))
    joints = facing @ turn.mT  # [..., T, 22, 3]
    shift = torch.stack((travel[..., 0], torch.zeros_like(travel[..., 0]), travel[..., 1]), dim=-1)
    return joints + shift[..., None, :]


@in_float32
def decode_rotations(features: Tensor) -> tuple[Tensor, Tensor]:
    """Features to joint angles, by the slice 140:272.

    Returns:
        local rotations `[..., T, 22, 3, 3]` and the pelvis position `[..., T, 3]` in metres, ready for
        `skeleton.forward_kinematics`.
    """
    turn, travel = _integrate_root(features)
    free = matrix_from_6d(features[..., ROTATIONS].unflatten(-1, (JOINT_COUNT, 6)))
    root = turn @ free[..., 0, :, :]
    rotations = torch.cat((root[..., None, :, :], free[..., 1:, :, :]), dim=-3)
    height = features[..., POSITIONS.start + 1]  # y of joint 0
    return rotations, torch.stack((travel[..., 0], height, travel[..., 1]), dim=-1)


@in_float32
def decode_heading(features: Tensor) -> Tensor:
    """Heading psi of every frame in radians, not wrapped (two full turns end at 4 pi). `[..., T, 272] -> [..., T]`."""
    # The change of psi is minus the angle stored, which turns the heading away.
    sine, cosine = -features[..., HEADING.start + 2], features[..., HEADING.start]
    undefined = (sine == 0) & (cosine == 0)  # atan2 has no gradient there
    return torch.atan2(sine, torch.where(undefined, torch.ones_like(cosine), cosine)).cumsum(-1)


def crop(features: Tensor, start: int, length: int) -> Tensor:
    """Cut `length` frames and reset the new row 0, `[..., T, 272] -> [..., length, 272]`.

    This equals encoding the cut joints again. Without the reset the cut clip would begin with one frame of motion that
    it does not contain, turned and moved by it.
    """
    frames = features.shape[-2]
    if start < 0 or length < 1 or start + length > frames:
        raise InputError(
            "crop",
            found=f"frames {start} to {start + length}",
            expected=f"at least one frame inside 0 to {frames}",
            fix="Choose a start and a length inside the motion.",
        )
    return reset_first_row(features[..., start : start + length, :])


def reset_first_row(features: Tensor) -> Tensor:
    """Copy features with the velocities of row 0 set to zero and its heading change to none."""
    first = features[..., :1, :]
    first = torch.cat(
        (
            torch.zeros_like(first[..., ROOT_VELOCITY]),
            first.new_tensor(NO_TURN).expand(*first.shape[:-1], 6),
            first[..., POSITIONS],
            torch.zeros_like(first[..., VELOCITIES]),
            first[..., ROTATIONS],
        ),
        dim=-1,
    )
    return torch.cat((first, features[..., 1:, :]), dim=-2)


def clear_first_row(features: Tensor) -> None:
    """`reset_first_row` in place, `[..., T, 272]`."""
    first = features[..., 0, :]  # [..., 272]
    first[..., : HEADING.stop] = _AT_REST.to(first)
    first[..., VELOCITIES] = 0


def check_features(features: Tensor, where: object) -> None:
    """Raise `InputError` unless `features` is `[T, 272]` (or batched), floating point, and free of NaN and infinity.

    Args:
        where: file or argument name for the message.
    """
    if features.ndim < 2 or features.shape[-1] != DIM or features.shape[-2] < 1:
        raise InputError(
            where,
            found=f"shape {tuple(features.shape)}",
            expected=f"(frames, {DIM})",
            fix=_shape_fix(tuple(features.shape)),
        )
    if not features.is_floating_point():
        raise InputError(where, found=f"dtype {features.dtype}", expected="a floating point dtype", fix="Convert it.")
    wide = torch.float32 if features.dtype in HALF else features.dtype
    if torch.isfinite(features.sum(dtype=wide)):  # one pass; a sum with NaN or infinity in it is never finite
        return
    bad = ~torch.isfinite(features)
    if bad.any():
        *_, frame, dim = bad.nonzero()[0].tolist()
        name = next(name for name, part in FEATURE_SLICES.items() if part.start <= dim < part.stop)
        raise InputError(
            where,
            found=f"{features[tuple(bad.nonzero()[0])].item()} in frame {frame}, feature {dim} ({name})",
            expected="finite numbers",
            fix="Remove or repair this clip.",
        )


def _integrate_root(features: Tensor) -> tuple[Tensor, Tensor]:
    """Where the body is and which way it faces: `[..., T, 3, 3]` (turns +z to the heading) and `[..., T, 2]` (x, z).

    Only the cosine and sine of 2:8 are used. The original scripts multiply the whole 6D matrices; for encoded motion
    that is the same, but errors of a network in the four constant features would tilt the world frame by frame.
    """
    turn = yaw_matrix(decode_heading(features))
    velocity = features[..., ROOT_VELOCITY]
    step = torch.stack((velocity[..., 0], torch.zeros_like(velocity[..., 0]), velocity[..., 1]), dim=-1)  # [..., T, 3]
    # A step is written in the frame of the row before; row 0 has none before it.
    moved = (turn[..., :-1, :, :] @ step[..., 1:, :, None])[..., 0]
    travel = torch.cat((step[..., :1, :], moved), dim=-2).cumsum(-2)
    return turn, travel[..., [0, 2]]


def _no_turn(like: Tensor) -> Tensor:
    """`[..., T, 3, 3] -> [..., 1, 6]`."""
    return like.new_tensor(NO_TURN).expand(*like.shape[:-3], 1, 6)


def _pad_first(values: Tensor) -> Tensor:
    """Put a row of zeros in front. `[..., T-1, n] -> [..., T, n]`."""
    return torch.cat((values.new_zeros(*values.shape[:-2], 1, values.shape[-1]), values), dim=-2)


def _shape_fix(shape: tuple[int, ...]) -> str:
    if shape and shape[-1] == 263:
        return "These look like HumanML3D features; convert them from joints and rotations with features.encode."
    if shape and shape[-1] == 85:
        return "These look like SMPL parameters; they need a body model to become joints."
    return "Encode joints and rotations with motionlab.motion.features.encode."
