"""Write SMPL poses: AMASS npz (z up) and the smpl_85 array of the MotionMillion scripts (y up).

Both hold rotations of the 22 joints as axis-angle vectors and the translation of a body model, but no bones: these come
from the model and its shape, whose 10 or 16 numbers are zero here, the mean body. Hands are zero, too: we have none.

A model's pelvis does not sit at its translation: it is `translation + J0`, with J0 the pelvis of the rest pose, which
does not turn with the body. Scripts that write the pelvis itself sink their bodies by 22 cm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.files import atomic_path
from motionlab.motion.formats.bvh_write import Z_UP
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import matrix_to_axis_angle

# J0 of the neutral mean SMPL body, metres: the first OFFSET of the BVH files that the MotionMillion scripts write.
REST_PELVIS = (-0.001795, -0.223333, 0.028219)
_BODY, _HANDS, _BETAS = 66, 90, 16


def write_amass(path: str | Path, motion: Motion) -> None:
    """An npz with `poses` `[T, 156]`, `trans` `[T, 3]`, `betas`, `mocap_framerate` and `gender`, as AMASS has them."""
    pose, translation = _smpl(motion, z_up=True)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            poses=torch.cat((pose, pose.new_zeros(len(pose), _HANDS)), dim=1).numpy(),
            trans=translation.numpy(),
            betas=np.zeros(_BETAS),
            mocap_framerate=motion.fps,
            gender="neutral",
        )


def write_smpl85(path: str | Path, motion: Motion) -> None:
    """An npy `[T, 85]`: 66 numbers of pose, 6 zeros for the hands, 3 of translation, 10 zeros for the shape."""
    pose, translation = _smpl(motion, z_up=False)
    table = torch.cat((pose, pose.new_zeros(len(pose), 6), translation, pose.new_zeros(len(pose), 10)), dim=1)
    with atomic_path(path) as temporary:
        np.save(temporary, table.numpy().astype(np.float32))


def _smpl(motion: Motion, z_up: bool) -> tuple[Tensor, Tensor]:
    """Axis-angle vectors `[T, 66]` and the translation of the model `[T, 3]`, float64."""
    rotations = motion.rotations().detach().cpu().double()  # [T, 22, 3, 3]
    pelvis = motion.root()[0].detach().cpu().double()  # [T, 3]
    if z_up:  # the model's rest pose stays y up, so only the root turns: the other joints are relative to it
        axes = torch.tensor(Z_UP, dtype=torch.float64)
        rotations = torch.cat((axes @ rotations[:, :1], rotations[:, 1:]), dim=1)
        pelvis = pelvis @ axes.T
    return matrix_to_axis_angle(rotations).flatten(1), pelvis - pelvis.new_tensor(REST_PELVIS)


def _amass(path: Path, motion: Motion, options: WriteOptions) -> None:
    write_amass(path, motion)


def _smpl85(path: Path, motion: Motion, options: WriteOptions) -> None:
    write_smpl85(path, motion)


AMASS = Writer(
    name="AMASS",
    key="amass",
    suffixes=(".npz",),
    loses="the bones: shape (betas) and hands are zeros",
    write=_amass,
)
SMPL85 = Writer(
    name="smpl_85",
    key="smpl85",
    suffixes=(".npy",),
    loses="the bones and the frame rate: shape (betas) and hands are zeros",
    write=_smpl85,
)
