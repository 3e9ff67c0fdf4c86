"""The loss of a motion in a file, measured: the file is read again and compared with what was written into it.

Places and rotations of joints with our names are compared as the file has them. Only where it has no rotations are
these solved from the places, by retargeting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.bvh_write import UNITS, Z_UP
from motionlab.motion.formats.read import read_file
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.formats.source import ReadOptions, SourceMotion
from motionlab.motion.frame_rate import same_rate, whole_rate
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget
from motionlab.motion.rotations import matrix_to_axis_angle, yaw_matrix
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

DOUBTED = 10.0  # frames per second: files of fewer are likely to be key frames, and readers ask for the rate


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


def measure_loss(path: str | Path, motion: Motion, writer: Writer, options: WriteOptions | None = None) -> Loss:
    """Read a file that `writer` made of `motion` and compare; the motion has the frame rate of the file.

    Args:
        options: that the file was written with.

    Raises:
        InputError: no format reads such files, or its reader refuses this one.
        MissingExtra: the reader needs a package that is not installed.
    """
    path = Path(path)
    rotations: Tensor | None = None
    if writer.decode is not None:
        joints, fps = writer.decode(path), writer.fps or motion.fps
    else:
        # An .npy cannot say its frame rate, and a reader doubts less than 10; else the file has to say the right one.
        rate = motion.fps if path.suffix.lower() == ".npy" or motion.fps < DOUBTED else None
        options = options or WriteOptions()
        again = next(iter(read_file(path, ReadOptions(fps=rate, unit=options.unit or "m")))).motion
        if isinstance(again, SourceMotion) and again.rotations is not None:
            joints, rotations = _as_written(again, again.rotations, options)
            fps = whole_rate(again.fps) if len(again) > 1 else motion.fps
            if not same_rate(fps, motion.fps):  # a reader may put frames between keys that are far apart
                moments = torch.arange(len(motion), dtype=torch.float64) / motion.fps
                at = torch.searchsorted(again.times.double(), moments - 1e-3).clamp(max=len(again) - 1)
                joints, rotations, fps = joints[at], rotations[at], motion.fps
        else:
            if isinstance(again, SourceMotion):
                again = retarget(again, fps=motion.fps, body="own", keep_start=True, keep_heights=True).motion
            joints, rotations, fps = again.joints(), again.rotations(), again.fps
    count = min(len(joints), len(motion) - writer.skips)
    part = slice(writer.skips, writer.skips + count)
    if count < 1:
        raise InputError(path, found="no frame of the motion", expected="at least one", fix="Report this as a bug.")
    return _compare(motion.joints()[part], motion.rotations()[part], joints[:count], rotations, len(joints), fps)


def _as_written(source: SourceMotion, world: Tensor, options: WriteOptions) -> tuple[Tensor, Tensor]:
    """Places `[T, 22, 3]` in metres, y up, and local rotations `[T, 22, 3, 3]` of a file that has our joints."""
    missing = [name for name in JOINT_NAMES if name not in source.joints]
    if missing:
        raise InputError(
            source.name, found="no joint " + ", ".join(missing), expected="our 22 joints", fix="Report this as a bug."
        )
    index = [source.joints.index(name) for name in JOINT_NAMES]
    scale = source.metres_per_unit or 1 / UNITS[options.unit or "m"]
    places, world = scale * source.positions[:, index].double(), world[:, index].double()
    if options.up == "z":
        axes = torch.tensor(Z_UP, dtype=torch.float64)
        places, world = places @ axes, axes.T @ world @ axes
    above = world[:, PARENTS[1:]]
    return places, torch.cat((world[:, :1], above.mT @ world[:, 1:]), dim=1)


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
