"""Joints as the motion encoder sees them: 133 numbers a frame, without the place and the heading of the body.

| slice | size | content |
|---|---|---|
| 0:66 | 66 | joints, pelvis at x = z = 0, turned to face +z, metres |
| 66:132 | 66 | velocity of each joint OVER THE GROUND, in the same turned frame, metres a frame |
| 132 | 1 | turn since the frame before, radians |

They are made from positions alone, so that features `[T, 272]` and joints `[T, 22, 3]` of one motion give the same
embedding, and a motion that was made without joint angles can be scored. The 272 features hold another velocity, that
of the joints against the pelvis (74:140). There a foot that stands moves and one that slides may rest; here a foot that
stands is 0, so that sliding can be seen.

Heading is where the hips and shoulders face: with `a` the sum of their left-minus-right vectors on the ground, forward
is `(-a_z, a_x)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import DIM, check_features, decode_positions
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES

SIZE = 2 * 3 * JOINT_COUNT + 1
_LEFT = [JOINT_NAMES.index(name) for name in ("left_hip", "left_shoulder")]
_RIGHT = [JOINT_NAMES.index(name) for name in ("right_hip", "right_shoulder")]


def joints_of(motion: Motion | Tensor | np.ndarray, where: object = "motion") -> Tensor:
    """Joints `[T, 22, 3]` in metres, float32, of a `Motion`, of features `[T, 272]` or of joints themselves.

    Raises:
        InputError: another shape, no frame, or a number that is not finite.
    """
    if isinstance(motion, Motion):
        return motion.joints().float()
    values = torch.as_tensor(motion).detach().cpu()
    if values.ndim == 2 and values.shape[1] == DIM:
        check_features(values, where)
        return decode_positions(values.float())
    if values.ndim != 3 or tuple(values.shape[1:]) != (JOINT_COUNT, 3) or not len(values):
        raise InputError(
            where,
            found=f"shape {tuple(values.shape)}",
            expected=f"features (T, {DIM}) or joints (T, {JOINT_COUNT}, 3)",
            fix="Pass one motion of each clip in a list; a Motion will do.",
        )
    values = values.float()
    if not bool(torch.isfinite(values).all()):
        raise InputError(where, found="NaN or infinity", expected="finite joints", fix="Leave this motion out.")
    return values


def encoder_inputs(joints: Tensor) -> Tensor:
    """`[B, T, 22, 3]` metres, y up, to `[B, T, 133]`; row 0 has the velocity of row 1.

    Clips may be padded by repeating their last frame.

    >>> encoder_inputs(torch.zeros(2, 5, 22, 3)).shape
    torch.Size([2, 5, 133])
    """
    across = (joints[..., _LEFT, :] - joints[..., _RIGHT, :]).sum(-2)[..., [0, 2]]  # [B, T, 2]: x, z
    length = across.norm(dim=-1, keepdim=True)
    # Hips and shoulders that stand on top of each other say nothing about a heading: +z then.
    across = torch.where(length > 1e-6, across / length.clamp(min=1e-6), across.new_tensor((1.0, 0.0)))
    cosine, sine = across[..., 0, None], across[..., 1, None]  # [B, T, 1]

    def turned(x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Along `a`, which becomes +x, and along forward, which becomes +z."""
        return cosine * x + sine * z, cosine * z - sine * x

    x, z = turned(joints[..., 0] - joints[..., :1, 0], joints[..., 2] - joints[..., :1, 2])  # [B, T, 22]
    step = torch.zeros_like(joints)
    step[:, 1:] = joints[:, 1:] - joints[:, :-1]
    turn = torch.zeros_like(cosine)
    if joints.shape[1] > 1:
        step[:, 0] = step[:, 1]
        before, now = across[:, :-1], across[:, 1:]
        sines = before[..., 0] * now[..., 1] - before[..., 1] * now[..., 0]
        turn[:, 1:, 0] = torch.atan2(sines, (before * now).sum(-1))
        turn[:, 0] = turn[:, 1]
    vx, vz = turned(step[..., 0], step[..., 2])
    places = torch.stack((x, joints[..., 1], z), dim=-1).flatten(-2)  # [B, T, 66]
    speeds = torch.stack((vx, step[..., 1], vz), dim=-1).flatten(-2)  # [B, T, 66]
    return torch.cat((places, speeds, turn), dim=-1)


def padded(motions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Joints `[T_i, 22, 3]` as one block `[B, T, 22, 3]`, each with its last frame repeated, and lengths `[B]`."""
    lengths = torch.tensor([len(motion) for motion in motions])
    block = motions[0].new_empty(len(motions), int(lengths.max()), JOINT_COUNT, 3)
    for row, motion in zip(block, motions, strict=True):
        row[: len(motion)] = motion
        row[len(motion) :] = motion[-1]
    return block, lengths
