"""SMPL parameters to a `Motion`, without a body model.

SMPL, SMPL-H and SMPL-X share the first 22 joints, and those are ours: same names, same order, same parents, same rest
axes (x left, y up, z forward). So the axis-angle vectors of a file ARE our local rotations. Against features that the
original scripts made with the SMPL-X model, the root velocity, the heading and all 132 rotation features agree to 3e-7.

The body model would add the person's bone lengths. Here the joints follow by forward kinematics with our own bones,
which puts them 5 cm from the model's on average; the pelvis goes where the file moves it, up to a constant (SMPL's
translation is not the pelvis, but the two differ by the same vector in every frame).
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.features import encode
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.floor import floor_height
from motionlab.motion.retargeting.frames import our_places
from motionlab.motion.retargeting.up import up_scores
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import JOINT_COUNT, canonical_skeleton, forward_kinematics

BODY = 3 * JOINT_COUNT  # 66 numbers: 22 axis-angle vectors
BODY_NOTE = (
    "The joints were placed with our own bone lengths, because the shape of the body needs the SMPL model; "
    "rotations, heading and travel are those of the file, places of joints differ by about 5 cm."
)
# Rows of the rotation from (x, y forward.., z up) to (x, y up, z): a point (x, y, z) becomes (x, z, -y).
UPRIGHT, SURELY_UPRIGHT = 0.5, 0.8  # mean cosine between the body's up and an axis
Z_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))


def smpl_motion(body: Tensor, travel: Tensor, fps: float, name: str, z_up: bool = False) -> Motion:
    """A motion from SMPL parameters.

    Args:
        body: `[T, 66]` axis-angle vectors of the 22 joints, the first relative to the world, float64.
        travel: `[T, 3]` SMPL's translation in metres, float64.
        fps: frames a second of both.
        z_up: the world of the file has z up; it is turned to y up.
    """
    rotations = axis_angle_to_matrix(body.reshape(-1, JOINT_COUNT, 3))  # [T, 22, 3, 3]
    if z_up:
        axes = torch.tensor(Z_UP, dtype=body.dtype)
        # SMPL's rest pose has y up already: the world is turned, the body's own axes are not.
        rotations = torch.cat((axes @ rotations[:, :1], rotations[:, 1:]), dim=1)
        travel = travel @ axes.T
    joints = forward_kinematics(rotations, travel, canonical_skeleton(body.dtype).offsets)
    joints[..., 1] -= floor_height(joints)
    return Motion(encode(joints, rotations, ground=False).float(), fps=fps, name=name)


def find_up(
    where: object, body: Tensor, travel: Tensor, fps: float, usual: str | None = None, given: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """The axis that points up, "y" or "z", and a note when it is not the usual one or there is none.

    Nothing in these files says it, but people stand on their feet most of the time, and keep to a floor.

    Args:
        body, travel, fps: as in `smpl_motion`.
        usual: the axis that the format fixes. Files of its layout with the other axis up are told by a body that stands
            along that one almost all the time, on a floor across it.
        given: the axis that a person said.

    Raises:
        InputError: a `given` axis that is neither; no usual axis, and a body that stands along neither.
    """
    if given is not None:
        if given not in ("y", "z"):
            fix = "Turn the rotation of the root and the translation, and save that."
            raise InputError(where, found=f"{given} up", expected="y or z, as files of SMPL have it", fix=fix)
        return given, ()
    rotations = axis_angle_to_matrix(body.reshape(-1, JOINT_COUNT, 3))  # [T, 22, 3, 3]
    upright = rotations[:, 0, :, 1].mean(0)  # [3]: the body's own up in the world, 1 for always
    along = {axis: float(upright["xyz".index(axis)]) for axis in "yz"}
    best = max(along, key=lambda axis: along[axis])
    if usual is not None:
        if best == usual or along[best] < SURELY_UPRIGHT:
            return usual, ()
        joints = forward_kinematics(rotations, travel, canonical_skeleton(body.dtype).offsets)
        places = our_places(joints)
        scores = up_scores(places, torch.arange(len(body), dtype=torch.float64) / fps, usual)
        if scores[best] < scores[usual]:  # who crawls has the trunk along the floor
            return usual, ()
        return best, (f"The body stands along {best} in the file, not along {usual} as usual; {best} was taken as up.",)
    if along[best] < UPRIGHT:
        axis = int(upright.abs().argmax())
        raise InputError(
            where,
            found=f"a body that stands along {'-' if float(upright[axis]) < 0 else ''}{'xyz'[axis]}",
            expected="one that stands along y or z for most of the time",
            fix="Turn the rotation of the root and the translation to y up, and save that.",
        )
    return best, (f"The body stands along {best} in the file, so {best} was taken as up.",)
