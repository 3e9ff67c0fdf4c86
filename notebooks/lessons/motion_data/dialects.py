"""One motion in six kinds of files, each with a fact that the file does not tell.

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
from motionlab.motion.formats.registry import WriteOptions
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.formats.write import write_motion
from motionlab.motion.motion import Motion
from motionlab.motion.rotations import axis_angle_to_matrix, matrix_from_6d, yaw_matrix
from motionlab.motion.skeleton import (
    JOINT_NAMES,
    PARENTS,
    canonical_skeleton,
    forward_kinematics,
    global_rotations,
)
from motionlab.teaching.expect import about

OFFSETS = canonical_skeleton(torch.float64).offsets
# The limbs whose direction is compared: (from, to).
LIMBS = [
    (PARENTS[j], j) for j, name in enumerate(JOINT_NAMES) if name.split("_")[-1] in ("knee", "ankle", "elbow", "wrist")
]


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


def limb_error(joints: Tensor, fps: float, true: Motion) -> float:
    """Median angle in degrees between the limbs of a motion `[T, 22, 3]` and of the true one, at the same moments.

    Both face forward before they are compared: the way in which a body faces at the start is free.
    """
    moments = torch.arange(len(joints)) / fps
    at = (moments * true.fps).round().long()
    seen = at < len(true)
    one, other = _facing_forward(joints[seen].double()), _facing_forward(true.joints()[at[seen]].double())
    angles = []
    for parent, child in LIMBS:
        mine, theirs = (x[:, child] - x[:, parent] for x in (one, other))
        cosine = torch.nn.functional.cosine_similarity(mine, theirs, dim=-1, eps=1e-12)
        angles.append(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))
    return float(torch.stack(angles).median())


def _facing_forward(joints: Tensor) -> Tensor:
    """Each frame of `[T, 22, 3]` turned about y, so that the hips lie along x."""
    hips = joints[:, JOINT_NAMES.index("left_hip")] - joints[:, JOINT_NAMES.index("right_hip")]
    return joints @ yaw_matrix(torch.atan2(hips[:, 2], hips[:, 0])).mT


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


def _folded(folder: Path, true: Motion) -> Dialect:
    path = folder / "folded.bvh"
    rotations, offsets = fold(true.rotations().double(), OFFSETS)
    write_body(path, 100 * offsets, rotations, 100 * true.joints()[:, 0].double(), true.fps, JOINT_NAMES)
    joints, fps = _copied(path, scale=0.01)
    return Dialect(
        "BVH as in LAFAN1",
        "its rest pose: all bones along x",
        "same names, same angles",
        joints,
        fps,
        read_motion(path),
    )


def _z_up(folder: Path, true: Motion) -> Dialect:
    path = folder / "z_up.bvh"
    write_motion(path, true, options=WriteOptions(unit="cm", up="z"))
    joints, fps = _copied(path)
    return Dialect("BVH, z up, centimetres", "axes and unit", "y is up, metres", joints, fps, read_motion(path))


def _fast(folder: Path, true: Motion) -> Dialect:
    path = folder / "fast.bvh"
    fine = true.resample(fps=120.0)
    rotations = torch.cat((torch.eye(3).expand(1, 22, 3, 3), fine.rotations())).double()
    pelvis = fine.joints()[:, 0].double()
    write_body(path, OFFSETS, rotations, torch.cat((pelvis[:1], pelvis)), 120.0, JOINT_NAMES)
    joints, _ = _copied(path)
    name = "BVH as from CMU, 120 fps"
    return Dialect(name, "frame 0 is a T-pose", "every row is a frame at 30 fps", joints, 30.0, read_motion(path))


def _places(folder: Path, true: Motion) -> Dialect:
    path = folder / "places.npy"
    joints = true.resample(fps=20.0).joints()
    np.save(path, joints.numpy())
    read = read_motion(path, options=ReadOptions(fps=20.0))
    return Dialect("places [T, 22, 3], .npy", "20 fps", "30 fps, as all others", joints, 30.0, read)


def _humanml(folder: Path, true: Motion) -> Dialect:
    path = folder / "humanml.npy"
    write_motion(path, true, to="263")
    rows = torch.from_numpy(np.load(path)).double()
    local = torch.eye(3, dtype=torch.float64).repeat(len(rows), 22, 1, 1)
    local[:, 1:] = matrix_from_6d(rows[:, 67:193].unflatten(1, (21, 6)))  # taken for rows, and for joints 1 to 21
    pelvis = torch.zeros(len(rows), 3, dtype=torch.float64)
    pelvis[:, [0, 2]] = rows[:, 1:3].cumsum(0)
    joints = forward_kinematics(local, pelvis, OFFSETS)
    return Dialect(
        "HumanML3D, 263 numbers",
        "its 6D: columns, per bone end",
        "6D in rows, as SMPL",
        joints,
        20.0,
        read_motion(path),
    )


def _amass(folder: Path, true: Motion) -> Dialect:
    path = folder / "amass.npz"
    write_motion(path, true.resample(fps=100.0), to="amass")
    with np.load(path) as arrays:
        poses, places = (torch.from_numpy(arrays[name]).double() for name in ("poses", "trans"))
    poses, places = poses[::3, :66], places[::3]  # int(100 / 30) = 3
    joints = forward_kinematics(axis_angle_to_matrix(poses.unflatten(1, (22, 3))), places, OFFSETS)
    return Dialect(
        "AMASS .npz, 100 fps", "z is up", "y is up, every third frame is 30 fps", joints, 30.0, read_motion(path)
    )


KINDS: tuple[Callable[[Path, Motion], Dialect], ...] = (_folded, _z_up, _fast, _places, _humanml, _amass)


def read_dialects(folder: Path, true: Motion) -> list[Dialect]:
    """Write a motion in six kinds of files into `folder`, and read each under a guess and with the package."""
    return [kind(folder, true) for kind in KINDS]


def dialect_rows(dialects: Sequence[Dialect], true: Motion) -> list[tuple[str, ...]]:
    """The table "guess / so": limbs in degrees off, and speed in metres per second."""
    head = ("file", "does not say", "guess", "limbs off", "speed", "package: limbs off", "speed")
    rows: list[tuple[str, ...]] = [head]
    for dialect in dialects:
        cells = []
        for joints, fps in ((dialect.guessed, dialect.guessed_fps), (dialect.read.joints(), dialect.read.fps)):
            cells += [f"{about(limb_error(joints, fps, true), 2)}°", f"{about(speed(joints, fps), 2)} m/s"]
        rows.append((dialect.name, dialect.hides, dialect.guess, *cells))
    return rows
