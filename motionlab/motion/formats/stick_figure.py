"""A body to look at: one slim octahedron per bone, each moved by one joint alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

WAIST = 0.2  # where along a bone it is thickest
THICKNESS, THINNEST = 0.12, 0.02  # to each side: of the length of the bone, and at least, in metres
HEAD = (0.0, 0.12, 0.0)  # metres from the centre of the head to its top
HAND = 0.6  # of the length of the lower arm
LEFT, MIDDLE, RIGHT = (52, 120, 201, 255), (120, 120, 128, 255), (222, 108, 46, 255)  # RGBA
# Corners: 0 start, 1 to 4 around the waist, 5 end. Each face is seen counter-clockwise from outside.
_FACES = ((0, 2, 1), (0, 3, 2), (0, 4, 3), (0, 1, 4), (5, 1, 2), (5, 2, 3), (5, 3, 4), (5, 4, 1))


@dataclass(frozen=True, eq=False)
class Figure:
    """Triangles of a body in its rest pose: rows 3 k, 3 k + 1, 3 k + 2 are the corners of triangle k.

    Args:
        corners: `[V, 3]` metres.
        normals: `[V, 3]`, of length 1, one for each face.
        joints: `[V]`, the joint that moves each corner.
        colours: `[V, 4]` RGBA, 0 to 255: left blue, right orange.
    """

    corners: Tensor
    normals: Tensor
    joints: Tensor
    colours: Tensor


def stick_figure(rest: Tensor) -> Figure:
    """The figure of a body whose joints are at `rest` `[22, 3]`, metres."""
    bones = [(PARENTS[joint], rest[PARENTS[joint]], rest[joint]) for joint in range(1, len(JOINT_NAMES))]
    head = JOINT_NAMES.index("head")
    top = rest.new_tensor(HEAD)
    bones.append((head, rest[head] - top / 2, rest[head] + top))
    for side in ("left", "right"):
        elbow, wrist = JOINT_NAMES.index(f"{side}_elbow"), JOINT_NAMES.index(f"{side}_wrist")
        bones.append((wrist, rest[wrist], rest[wrist] + HAND * (rest[wrist] - rest[elbow])))
    corners, normals, joints, colours = [], [], [], []
    for joint, start, end in bones:
        if float((end - start).norm()) < 1e-4:
            continue  # a body without this bone
        triangles = _octahedron(start, end, wide=joint == head)  # [8, 3, 3]
        normal = torch.linalg.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        corners.append(triangles.flatten(0, 1))
        normals.append((normal / normal.norm(dim=-1, keepdim=True)).repeat_interleave(3, dim=0))
        joints.append(torch.full((24,), joint))
        middle = float((start + end)[0]) / 2  # the x of the bone in the rest pose: left is +x
        colour = MIDDLE if abs(middle) < 1e-3 else LEFT if middle > 0 else RIGHT
        colours.append(torch.tensor(colour).expand(24, 4))
    return Figure(torch.cat(corners), torch.cat(normals), torch.cat(joints), torch.cat(colours))


def _octahedron(start: Tensor, end: Tensor, wide: bool) -> Tensor:
    """Eight triangles `[8, 3, 3]` around the line from `start` to `end`."""
    along = end - start
    # Across the bone: from the axis that lies furthest from it.
    furthest = torch.eye(3, dtype=along.dtype)[along.abs().argmin()]
    one = torch.linalg.cross(along, furthest)
    one = one / one.norm()
    two = torch.linalg.cross(along / along.norm(), one)
    reach = along.norm() * 0.5 if wide else (along.norm() * THICKNESS).clamp(min=THINNEST)
    waist = start + along * (0.5 if wide else WAIST)
    around = [waist + reach * side for side in (one, two, -one, -two)]
    points = torch.stack((start, *around, end))  # [6, 3]
    return points[torch.tensor(_FACES)]
