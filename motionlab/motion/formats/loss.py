"""What a file lost of a motion, measured: the file is read again and compared with what was written into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.registry import Writer
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.rotations import matrix_to_axis_angle, yaw_matrix


@dataclass(frozen=True)
class Loss:
    """How far a motion that was read again is from the motion that was written.

    The 272 features begin at the origin, facing +z, so where a motion begins and which way it faces is no part of it:
    both are aligned first, for the whole clip at once, and so is the floor.

    Args:
        joints: mean and largest distance of a joint from its place, millimetres.
        rotations: mean and largest angle between local rotations, degrees; None where a file has none to read.
        floor: how far the whole motion was moved up, millimetres.
        frames: that came back.
        fps: of the file, frames per second.
    """

    joints: tuple[float, float]
    rotations: tuple[float, float] | None
    floor: float
    frames: int
    fps: float

    def __str__(self) -> str:
        text = f"{self.joints[0]:.1f} mm (at most {self.joints[1]:.1f})"
        if self.rotations is not None:
            text += f", {self.rotations[0]:.2f} degrees (at most {self.rotations[1]:.2f})"
        if abs(self.floor) >= 0.05:
            text += f", floor moved by {self.floor:+.1f} mm"
        return text


def measure_loss(path: str | Path, motion: Motion, writer: Writer) -> Loss:
    """Read a file that `writer` made of `motion` and compare; the motion has the frame rate of the file.

    Raises:
        InputError: no format reads such files, or its reader refuses this one.
        MissingExtra: the reader needs a package that is not installed.
    """
    path = Path(path)
    rotations: Tensor | None = None
    if writer.decode is not None:
        joints, fps = writer.decode(path), writer.fps or motion.fps
    else:
        # An .npy cannot say its frame rate; every other file has to say the right one.
        options = ReadOptions(fps=motion.fps) if path.suffix.lower() == ".npy" else ReadOptions()
        reading = next(iter(read_file(path, options)))
        again = reading.motion
        if not isinstance(again, Motion):
            again = retarget(again, fps=motion.fps).motion
        joints, rotations, fps = again.joints(), again.rotations(), again.fps
    count = min(len(joints), len(motion) - writer.skips)
    part = slice(writer.skips, writer.skips + count)
    if count < 1:
        raise InputError(path, found="no frame of the motion", expected="at least one", fix="Report this as a bug.")
    return _compare(motion.joints()[part], motion.rotations()[part], joints[:count], rotations, len(joints), fps)


def _compare(
    joints: Tensor, rotations: Tensor, joints_again: Tensor, rotations_again: Tensor | None, frames: int, fps: float
) -> Loss:
    joints, again = joints.double(), joints_again.double()  # [T, 22, 3]
    turn = _turn_about_y(again, joints)  # [3, 3]
    again = again @ turn.mT
    shift = (joints - again).mean((0, 1))  # [3]
    distances = 1000 * (again + shift - joints).norm(dim=-1)
    angles = None
    if rotations_again is not None:
        rotations, turned = rotations.double(), rotations_again[: len(joints)].double()  # [T, 22, 3, 3]
        turned = torch.cat((turn @ turned[:, :1], turned[:, 1:]), dim=1)
        between = torch.rad2deg(matrix_to_axis_angle(rotations.mT @ turned).norm(dim=-1))
        angles = (float(between.mean()), float(between.max()))
    return Loss((float(distances.mean()), float(distances.max())), angles, -1000 * float(shift[1]), frames, fps)


def _turn_about_y(places: Tensor, onto: Tensor) -> Tensor:
    """The rotation about y that brings one motion nearest to another, both around their own middle, `[3, 3]`."""
    one, two = (value - value.mean((0, 1)) for value in (places, onto))
    cosine = (one[..., 0] * two[..., 0] + one[..., 2] * two[..., 2]).sum()
    sine = (one[..., 2] * two[..., 0] - one[..., 0] * two[..., 2]).sum()
    return yaw_matrix(torch.atan2(sine, cosine))
