"""Read HumanML3D's features, `[T, 263]`: the places of its joints, which it keeps exactly.

| columns | content                                    | columns | content                             |
|---------|--------------------------------------------|---------|-------------------------------------|
| 0       | turn about y to the next frame, half angle | 67:193  | rotations, 21 x 6D                  |
| 1:3     | travel (x, z) to the next frame, m         | 193:259 | velocities, 22 x 3                  |
| 3       | height of the pelvis, m                    | 259:263 | contacts of the feet, 0 or 1        |
| 4:67    | places of joints 1 to 21, turned, m        |         |                                     |

(Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", 2022.) A clip of `T` frames has `T - 1` rows,
at 20 frames a second. The rotations are not read: they are no rotations of SMPL. Entry j turns the bone that ENDS at
joint j, arms hang in its rest pose, and there is no rigid pelvis in it; taken for joint angles they leave the line of
the hips 33 degrees off. The places have none of these faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from motionlab.motion.formats.numpy_motion import SUFFIXES, headers, is_table, load, numbers, times_at, wrong
from motionlab.motion.formats.physical import has_bones
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.rotations import yaw_matrix
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES, PARENTS

DIM = 263
KIT_DIM = 251
FPS = 20.0
_PLACES = slice(4, 67)


def recover_places(features: Tensor) -> Tensor:
    """`[T, 263] -> [T, 22, 3]` metres, y up, starting above the origin and facing z.

    >>> recover_places(torch.zeros(2, 263)).shape
    torch.Size([2, 22, 3])
    """
    # Column 0 of a row leads to the NEXT row. It is half of the turn, because it was the arc sine of a quaternion.
    half = torch.cat((features.new_zeros(1), features[:-1, 0].cumsum(0)))  # [T]
    turn = yaw_matrix(-2 * half)  # [T, 3, 3], from the body's frame to the world's
    step = torch.zeros_like(features[:, :3])
    step[1:, [0, 2]] = features[:-1, 1:3]
    travel = (turn @ step[:, :, None])[..., 0].cumsum(0)  # [T, 3]
    joints = features[:, _PLACES].unflatten(-1, (JOINT_COUNT - 1, 3)) @ turn.mT + travel[:, None]  # [T, 21, 3]
    pelvis = torch.stack((travel[:, 0], features[:, 3], travel[:, 2]), dim=-1)
    return torch.cat((pelvis[:, None], joints), dim=1)


def _recognises(path: Path) -> bool:
    return is_table(path, DIM) or is_table(path, KIT_DIM)


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    if headers(path)[""].shape[1] == KIT_DIM:
        raise wrong(
            path,
            "251 features, those of KIT-ML",
            "263, those of HumanML3D",
            "KIT-ML has a body of 21 joints in millimetres; read its new_joints with joint names instead.",
        )
    places = recover_places(numbers(path, "", load(path, ("",))[""]))
    if not has_bones(places):
        raise wrong(
            path,
            "bones that change their length: the numbers were normalised",
            "features in metres",
            "Multiply by HumanML3D's Std.npy and add its Mean.npy, and save that.",
        )
    notes = ["Places were read; the rotations of these features are not those of a skeleton."]
    if options.fps is None:
        notes.append("HumanML3D has 20 frames a second, and that was taken.")
    times = times_at(len(places), options.fps or FPS)
    motion = SourceMotion(
        path.stem, JOINT_NAMES, PARENTS, times, places, metres_per_unit=options.metres(1.0), up=options.up or "y"
    )
    yield Reading(motion, notes=tuple(notes))


FORMAT = Format(
    name="HumanML3D 263",
    suffixes=SUFFIXES[:1],
    carries="places of our 22 joints at 20 frames a second",
    loses="rotations (solved from the places), the last frame",
    recognises=_recognises,
    read=_read,
)
