"""Write a motion as a BVH file; `bvh.py` says what such a file is."""

from __future__ import annotations

from pathlib import Path

import torch

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.motion.formats.euler_curves import euler_curves
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton

UNITS = {"m": 1.0, "cm": 100.0}  # name -> of them in a metre


def write_bvh(path: str | Path, motion: Motion, *, unit: str = "m") -> None:
    """Write a motion as BVH: 22 joints, y up, rotations Rz Ry Rx in degrees, 6 decimals.

    The format itself has no unit. Blender reads the numbers as metres unless its import scale is changed; many motion
    capture files and tools count in centimetres. No angle jumps by more than 180 degrees between two frames.

    The root's OFFSET is zero and its position channels are the pelvis itself. (The script published with the 272
    features adds the rest pelvis on top of it, and its bodies stand 22 cm below the floor.)

    Args:
        unit: of offsets and positions, "m" or "cm".

    Raises:
        InputError: another unit, the motion is normalised, or the file cannot be written. No partial file is left.
    """
    if unit not in UNITS:
        raise InputError("unit", found=repr(unit), expected=" or ".join(UNITS), fix="Choose one of these.")
    scale = UNITS[unit]
    rotations = motion.rotations().double()  # [T, 22, 3, 3]
    root_position = scale * motion.joints("rotations")[:, 0].double()  # [T, 3]
    offsets = scale * (motion.skeleton or canonical_skeleton()).offsets.double()
    order = _depth_first(0)
    angles = euler_curves(rotations[:, order])  # [T, 22, 3], Z Y X
    table = torch.cat((root_position, angles.flatten(1)), dim=1)  # [T, 3 + 66]
    rows = [" ".join(f"{value:.6f}" for value in row) for row in (table + 0.0).tolist()]
    lines = ["HIERARCHY", *_write_joint(0, offsets.tolist(), "")]
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.8f}", *rows]
    write_text(path, "\n".join(lines) + "\n")


def _depth_first(joint: int) -> list[int]:
    order = [joint]
    for child, parent in enumerate(PARENTS):
        if parent == joint:
            order += _depth_first(child)
    return order


def _write_joint(joint: int, offsets: list[list[float]], indent: str) -> list[str]:
    inside = indent + "  "
    children = [child for child, parent in enumerate(PARENTS) if parent == joint]
    kind, offset = ("JOINT", offsets[joint]) if joint else ("ROOT", [0.0, 0.0, 0.0])
    position = "" if joint else "Xposition Yposition Zposition "
    lines = [
        f"{indent}{kind} {JOINT_NAMES[joint]}",
        f"{indent}{{",
        f"{inside}OFFSET {_triple(offset)}",
        f"{inside}CHANNELS {3 if joint else 6} {position}Zrotation Yrotation Xrotation",
    ]
    for child in children:
        lines += _write_joint(child, offsets, inside)
    if not children:  # the format wants a leaf to end somewhere; half of its own bone is a visible tip
        tip = [value / 2 for value in offset]
        lines += [f"{inside}End Site", f"{inside}{{", f"{inside}  OFFSET {_triple(tip)}", f"{inside}}}"]
    return [*lines, f"{indent}}}"]


def _triple(values: list[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
