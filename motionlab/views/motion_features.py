"""Which of the 272 numbers belong together, and their values through a clip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion import features as f
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES
from motionlab.plots.motion_features import FeatureView

UNITS = {
    "root_velocity": "metres a frame",
    "heading": "entries of a rotation",
    "positions": "metres",
    "velocities": "metres a frame",
    "rotations": "entries of a rotation",
}
_SIX = tuple(f"R{row}{column}" for row in range(2) for column in range(3))  # the first two rows of a matrix


def numbers_of(slice_name: str, joint: str = "pelvis") -> tuple[list[int], list[str]]:
    """The places among the 272 of one slice, and what each number is.

    Args:
        slice_name: a key of `FEATURE_SLICES`.
        joint: of the three slices that hold one entry per joint; the others have one for the whole body.

    >>> numbers_of("positions", "left_wrist")
    ([68, 69, 70], ['x', 'y', 'z'])
    >>> numbers_of("root_velocity")
    ([0, 1], ['x', 'z'])
    """
    if slice_name not in f.FEATURE_SLICES:
        names = ", ".join(f.FEATURE_SLICES)
        raise InputError("slice", found=repr(slice_name), expected=names, fix="Choose one of these.")
    if joint not in JOINT_NAMES:
        raise InputError("joint", found=repr(joint), expected=", ".join(JOINT_NAMES), fix="Choose one of these.")
    part = f.FEATURE_SLICES[slice_name]
    labels = {"root_velocity": ("x", "z"), "heading": _SIX, "rotations": _SIX}.get(slice_name, ("x", "y", "z"))
    start = part.start
    if slice_name in ("positions", "velocities", "rotations"):
        start += JOINT_NAMES.index(joint) * len(labels)
    return list(range(start, start + len(labels))), list(labels)


def compute_features(motion: Motion, second: float, slice_name: str, joint: str = "pelvis") -> FeatureView:
    """One moment of a clip and some of its numbers.

    Raises:
        InputError: a time outside the clip, or an unknown slice or joint.
    """
    if not 0 <= second <= motion.duration:
        raise InputError("second", found=second, expected=f"0 to {motion.duration:.2f}", fix="Move the slider.")
    numbers, labels = numbers_of(slice_name, joint)
    frame = min(round(second * motion.fps), len(motion) - 1)
    pelvis, heading = motion.root()
    return FeatureView(
        clip=motion.name,
        fps=motion.fps,
        frame=frame,
        slice_name=slice_name,
        numbers=numbers,
        labels=labels,
        curves=motion.features[:, numbers],  # [T, n]
        pose=motion.features[frame, f.POSITIONS].view(-1, 3),  # [22, 3]
        path=pelvis[:, [0, 2]],  # [T, 2]
        heading=float(heading[frame]),
        unit=UNITS[slice_name],
    )


def bent_paths(motion: Motion, noise: float, seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """The path of a clip, and the paths after white noise on its six heading numbers.

    Args:
        noise: standard deviation, in the units of the features.
        seeds: one path each.

    Returns:
        name -> `[T, 2]` metres, x and z of the pelvis.
    """
    if not (noise >= 0 and math.isfinite(noise)):
        raise InputError("noise", found=noise, expected="0 or more", fix="Give a standard deviation.")
    paths = {"as recorded": motion.root()[0][:, [0, 2]]}
    for seed in seeds:
        features = motion.features.clone()
        generator = torch.Generator().manual_seed(seed)
        features[1:, f.HEADING] += noise * torch.randn(len(features) - 1, 6, generator=generator)
        paths[f"noise, seed {seed}"] = f.decode_positions(features)[:, 0, [0, 2]]  # [T, 2]
    return paths
