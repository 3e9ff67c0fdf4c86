"""Write a motion as a BVH file; `bvh.py` says what such a file is."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import check_choice
from motionlab.files import write_text
from motionlab.motion.formats.euler_curves import ORDERS, euler_curves
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton

UNITS = {"m": 1.0, "cm": 100.0}  # name -> of them in a metre
Z_UP = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))  # (x left, y up, z forward) to (x left, y back, z up)
UPS = ("y", "z")


def write_bvh(path: str | Path, motion: Motion, *, unit: str = "m", order: str = "ZYX", up: str = "y") -> None:
    """Write a motion as BVH: 22 joints, rotations in degrees, 6 decimals.

    The format itself has no unit. Blender reads the numbers as metres unless its import scale is changed; many motion
    capture files and tools count in centimetres. No angle jumps by more than 180 degrees between two frames.

    The root's OFFSET is zero and its position channels are the pelvis itself. (The script published with the 272
    features adds the rest pelvis on top of it, and its bodies stand 22 cm below the floor.)

    Args:
        unit: of offsets and positions, "m" or "cm".
        order: of the rotation channels; "ZYX" means Rz Ry Rx.
        up: the axis that points up, "y" or "z". With "z" the body faces -y, as in Blender.

    Raises:
        InputError: another unit, order or axis, the motion is normalised, or the file cannot be written. No partial
            file is left.
    """
    check_choice("unit", unit, tuple(UNITS))
    check_choice("order", order, ORDERS)
    check_choice("up", up, UPS)
    scale = UNITS[unit]
    rotations = motion.rotations().double()  # [T, 22, 3, 3]
    root_position = scale * motion.joints("rotations")[:, 0].double()  # [T, 3]
    offsets = scale * (motion.skeleton or canonical_skeleton()).offsets.double()
    if up == "z":  # the rest pose lies in the same axes, so every rotation is seen in them, too
        axes = torch.tensor(Z_UP, dtype=torch.float64)
        rotations, root_position, offsets = axes @ rotations @ axes.T, root_position @ axes.T, offsets @ axes.T
    joints = _depth_first(0)
    angles = euler_curves(rotations[:, joints], order)  # [T, 22, 3]
    table = torch.cat((root_position, angles.flatten(1)), dim=1)  # [T, 3 + 66]
    rows = [" ".join(f"{value:.6f}" for value in row) for row in (table + 0.0).tolist()]
    lines = ["HIERARCHY", *_write_joint(0, offsets, order, "")]
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.8f}", *rows]
    write_text(path, "\n".join(lines) + "\n")


def _depth_first(joint: int) -> list[int]:
    order = [joint]
    for child, parent in enumerate(PARENTS):
        if parent == joint:
            order += _depth_first(child)
    return order


def _write_joint(joint: int, offsets: Tensor, order: str, indent: str) -> list[str]:
    inside = indent + "  "
    children = [child for child, parent in enumerate(PARENTS) if parent == joint]
    kind, offset = ("JOINT", (offsets[joint] + 0.0).tolist()) if joint else ("ROOT", [0.0, 0.0, 0.0])
    position = "" if joint else "Xposition Yposition Zposition "
    lines = [
        f"{indent}{kind} {JOINT_NAMES[joint]}",
        f"{indent}{{",
        f"{inside}OFFSET {_triple(offset)}",
        f"{inside}CHANNELS {3 if joint else 6} {position}" + " ".join(f"{axis}rotation" for axis in order),
    ]
    for child in children:
        lines += _write_joint(child, offsets, order, inside)
    if not children:  # the format wants a leaf to end somewhere; half of its own bone is a visible tip
        tip = [value / 2 for value in offset]
        lines += [f"{inside}End Site", f"{inside}{{", f"{inside}  OFFSET {_triple(tip)}", f"{inside}}}"]
    return [*lines, f"{indent}}}"]


def _triple(values: list[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    write_bvh(path, motion, **options.given())


WRITER = Writer(
    name="BVH",
    key="bvh",
    suffixes=(".bvh",),
    loses="bones that change their length",
    write=_write,
    takes=("unit", "order", "up"),
)
