"""One walk in six kinds of files, each with a fact that the file does not tell.

For each the file is written from a bundled motion, read under the guess that a first script makes, and read by the
package. Both are compared with the motion that it was made from: directions of limbs (degrees), and speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.files import write_text
from motionlab.motion.formats.bvh import read_bvh
from motionlab.motion.formats.euler_curves import euler_curves
from motionlab.motion.formats.read import read_motion
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix
from motionlab.motion.skeleton import (
    JOINT_NAMES,
    MIRROR,
    PARENTS,
    canonical_skeleton,
    forward_kinematics,
    global_rotations,
)

OFFSETS = canonical_skeleton(torch.float64).offsets
# The limbs whose direction is compared: (from, to).
LIMBS = [(PARENTS[j], j) for j, name in enumerate(JOINT_NAMES) if name.split("_")[-1] in ("knee", "ankle", "elbow", "wrist")]


@dataclass(frozen=True)
class Dialect:
    """A file, and the motions that two readers make of it.

    Fields:
        name: what kind of file it is.
        hides: what the file does not say.
        guess: what a first script takes for granted.
        guessed, read: `[T, 22, 3]` metres under the guess, and as the package reads it; fps: frames a second of each.
    """

    name: str
    hides: str
    guess: str
    guessed: Tensor
    guessed_fps: float
    read: Motion


def limb_error(joints: Tensor, true: Tensor) -> float:
    """Median angle in degrees between the limbs of two motions, both `[T, 22, 3]`, frame by frame as far as both go.

    >>> standing = torch.eye(22, 3)[None]
    >>> limb_error(standing, 2 * standing)
    0.0
    """
    frames = min(len(joints), len(true))
    angles = []
    for parent, child in LIMBS:
        one, other = (x[:frames, child].double() - x[:frames, parent].double() for x in (joints, true))
        cosine = torch.nn.functional.cosine_similarity(one, other, dim=-1, eps=1e-12)
        angles.append(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))
    return float(torch.stack(angles).median())


def speed(joints: Tensor, fps: float) -> float:
    """Mean speed of the pelvis over the floor (x and z), in the unit of the joints per second."""
    return float(joints[:, 0, [0, 2]].diff(dim=0).norm(dim=-1).mean() * fps)


def write_body(path: Path, offsets: Tensor, local: Tensor, pelvis: Tensor, fps: float, names: Sequence[str]) -> None:
    """A BVH file of the 22 joints with any rest pose.

    Args:
        offsets: `[22, 3]`; local: `[T, 22, 3, 3]` rotations against the parent; pelvis: `[T, 3]`.
    """
    order: list[int] = []
    lines = ["HIERARCHY"]

    def joint(at: int, indent: str) -> None:
        order.append(at)
        kind, channels = ("ROOT", "6 Xposition Yposition Zposition") if at == 0 else ("JOINT", "3")
        triple = " ".join(f"{value:.6f}" for value in offsets[at].tolist())
        lines.append(f"{indent}{kind} {names[at]}")
        lines.append(f"{indent}{{")
        lines.append(f"{indent} OFFSET {triple}")
        lines.append(f"{indent} CHANNELS {channels} Zrotation Yrotation Xrotation")
        children = [child for child, parent in enumerate(PARENTS) if parent == at]
        for child in children:
            joint(child, indent + " ")
        if not children:
            lines.append(f"{indent} End Site {{ OFFSET 0 0 0 }}")
        lines.append(f"{indent}}}")

    joint(0, "")
    table = torch.cat((pelvis, euler_curves(local[:, order]).flatten(1)), dim=1)  # [T, 3 + 66]
    rows = [" ".join(f"{value:.6f}" for value in row) for row in table.tolist()]
    write_text(path, "\n".join([*lines, "MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.8f}", *rows]) + "\n")


def fold(local: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The same motion on a body whose rest pose has all bones along x, as LAFAN1 and Bandai-Namco files have it.

    Each joint gets axes of its own, in which its first bone points along x. Poses do not change; the meaning of every
    angle does.

    Returns:
        rotations `[T, 22, 3, 3]` against the parent, and offsets `[22, 3]`, both in the new axes.
    """
    axes = torch.eye(3, dtype=local.dtype).repeat(len(PARENTS), 1, 1)  # [22, 3, 3], new axes in the old ones
    for at in range(len(PARENTS)):
        children = [child for child, parent in enumerate(PARENTS) if parent == at]
        if children:
            # The hips hang at the sides of the pelvis; its axes follow the spine. So with the chest and the neck.
            bone = offsets[children[2] if at == 0 else children[0]]
            axes[at] = _frame_along(bone)
        else:
            axes[at] = axes[PARENTS[at]]
    world = global_rotations(local) @ axes  # [T, 22, 3, 3]
    parents = list(PARENTS[1:])
    folded = torch.cat((world[:, :1], world[:, parents].mT @ world[:, 1:]), dim=1)
    turned = torch.cat((offsets[:1], (axes[parents].mT @ offsets[1:, :, None])[..., 0]))
    return folded, turned


def _frame_along(bone: Tensor) -> Tensor:
    """A rotation `[3, 3]` whose first column points along a bone."""
    x = bone / bone.norm()
    helper = torch.eye(3, dtype=bone.dtype)[int(x.abs().argmin())]
    y = torch.linalg.cross(helper, x)
    y = y / y.norm()
    return torch.stack((x, y, torch.linalg.cross(x, y)), dim=1)


def _copied(path: Path, scale: float = 1.0) -> tuple[Tensor, float]:
    """The guess of most scripts: the same names, so the same angles; positions as they stand."""
    clip = read_bvh(path)
    order = [clip.names.index(name) for name in JOINT_NAMES]
    joints = forward_kinematics(clip.rotations[:, order], scale * clip.root_position, OFFSETS)
    return joints, clip.fps
