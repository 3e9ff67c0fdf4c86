"""Mirror, resample and place, on the 272 features.

Each function takes and returns physical features `[..., T, 272]` (not normalised). `Motion` offers them as methods.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import (
    DIM,
    HEADING,
    POSITIONS,
    ROOT_VELOCITY,
    ROTATIONS,
    VELOCITIES,
    decode_positions,
    decode_rotations,
    encode,
)
from motionlab.motion.half_precision import in_float32
from motionlab.motion.rotations import matrix_to_6d, matrix_to_quaternion, quaternion_to_matrix, slerp, yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, MIRROR, Skeleton, forward_kinematics


def _mirror_tables() -> tuple[list[int], list[float]]:
    """The mirror image as a permutation of the 272 features and a sign for each.

    A reflection S = diag(-1, 1, 1) sends a vector v to S v and a rotation R to S R S, so entry (i, j) of R gets the
    sign s_i s_j: signs only, hence the whole mirror is exact and needs no decoding.
    """
    flip = (-1.0, 1.0, 1.0)
    vector = list(flip)
    rotation = [flip[row] * flip[column] for row in range(2) for column in range(3)]
    source, sign = list(range(DIM)), [1.0] * DIM
    sign[ROOT_VELOCITY] = [-1.0, 1.0]
    sign[HEADING] = rotation
    for block, signs in ((POSITIONS, vector), (VELOCITIES, vector), (ROTATIONS, rotation)):
        width = len(signs)
        for joint in range(JOINT_COUNT):
            begin = block.start + joint * width
            other = block.start + MIRROR[joint] * width
            source[begin : begin + width] = range(other, other + width)
            sign[begin : begin + width] = signs
    return source, sign


_SOURCE, _SIGN = _mirror_tables()


def mirror(features: Tensor) -> Tensor:
    """Swap left and right. Applying it twice gives the input back, bit for bit.

    >>> x = torch.randn(5, 272)
    >>> bool((mirror(mirror(x)) == x).all())
    True
    """
    return features[..., _SOURCE] * features.new_tensor(_SIGN)


@in_float32
def resample(features: Tensor, step: float, skeleton: Skeleton | None = None) -> Tensor:
    """Read a motion at times `0, step, 2 step, ...` (in source frames) instead of `0, 1, 2, ...`.

    `step = 2` plays twice as fast, or halves the frame rate. Joint angles are interpolated on the sphere (slerp), the
    pelvis on a line, and the joints follow by forward kinematics, so bones keep their length. (Taking every n-th
    frame, as the original scripts do, turns 100 fps into 33.3 fps and calls it 30.)

    Args:
        features: `[T, 272]`.
        step: source frames for one new frame, positive.
        skeleton: the bones; measured from the motion when not given.

    Returns:
        `[floor((T - 1) / step) + 1, 272]`. The last source frame is reached only when `step` divides `T - 1`.
    """
    if not (step > 0 and math.isfinite(step)):
        raise InputError("resample", found=f"step {step}", expected="a positive number", fix="Give a positive speed.")
    frames = features.shape[-2]
    rotations, root = decode_rotations(features)
    if skeleton is None:
        skeleton = Skeleton.measure(decode_positions(features), rotations)
    count = math.floor((frames - 1) / step + 1e-6) + 1  # 1e-6: 2.9999999 intervals are 3
    times = (torch.arange(count, device=features.device, dtype=features.dtype) * step).clamp(max=frames - 1)
    before = times.floor().long().clamp(max=max(frames - 2, 0))
    after = (before + 1).clamp(max=frames - 1)
    t = times - before
    quaternions = matrix_to_quaternion(rotations)  # [T, 22, 4]
    turned = quaternion_to_matrix(slerp(quaternions[before], quaternions[after], t[:, None]))
    moved = torch.lerp(root[before], root[after], t[:, None])
    result = encode(forward_kinematics(turned, moved, skeleton.offsets), turned, ground=False)
    return _with_start(result, features)


def place(features: Tensor, position: tuple[float, float], heading: float) -> Tensor:
    """Let the decoded motion start at `position` (x, z in metres) and `heading` (radians, 0 = facing +z).

    The start is written into row 0, whose root velocity and turn are zero otherwise. `crop` removes it again.
    """
    start = torch.tensor(position, dtype=features.dtype, device=features.device)
    turn = matrix_to_6d(yaw_matrix(torch.tensor(-heading, dtype=features.dtype, device=features.device)))
    row = torch.cat((start, turn)).expand(*features.shape[:-2], 1, 8)
    first = torch.cat((row, features[..., :1, HEADING.stop :]), dim=-1)
    return torch.cat((first, features[..., 1:, :]), dim=-2)


def _with_start(features: Tensor, source: Tensor) -> Tensor:
    """Copy the start position and heading in row 0 of `source`."""
    first = torch.cat((source[..., :1, : HEADING.stop], features[..., :1, HEADING.stop :]), dim=-1)
    return torch.cat((first, features[..., 1:, :]), dim=-2)
