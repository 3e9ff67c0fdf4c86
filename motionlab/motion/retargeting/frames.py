"""Directions of a body in its pose: places by our names, and the frames of pelvis and chest.

A frame is a rotation whose columns are left, up and forward of a part of the body. It is made from places alone, so it
means the same on every body, whichever way the file turns its joints.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from motionlab.motion.skeleton import JOINT_NAMES, canonical_skeleton, forward_kinematics

Places = Mapping[str, Tensor]  # our joint name, "middle" (between the hips) or "top" (of the trunk) to [..., 3]
SHORT = 0.03  # of a leg's length; bones below are as good as none (CMU: neck and collars start in one point)


def our_rest() -> Tensor:
    """`[22, 3]`, the T-pose of the canonical body."""
    offsets = canonical_skeleton(torch.float64).offsets
    turns = torch.eye(3, dtype=torch.float64).expand(len(JOINT_NAMES), 3, 3)
    return forward_kinematics(turns, torch.zeros(3, dtype=torch.float64), offsets)


def places_by_name(joints: Tensor, index: Mapping[str, int]) -> dict[str, Tensor]:
    """Places `[..., 3]` of the joints that a body has, from `[..., J, 3]`, with two that every body has.

    "middle" is the point between the hips, which is where our pelvis is. "top" is the neck, or the point between the
    shoulders of a body without one. A body without a pelvis (key points) gets "middle" for it.
    """
    places = {name: joints[..., at, :] for name, at in index.items()}
    places["middle"] = (places["left_hip"] + places["right_hip"]) / 2
    places["top"] = places.get("neck", (places["left_shoulder"] + places["right_shoulder"]) / 2)
    places.setdefault("pelvis", places["middle"])
    return places


def our_places(joints: Tensor) -> dict[str, Tensor]:
    """`places_by_name` of our own 22 joints, `[..., 22, 3]`."""
    return places_by_name(joints, {name: joint for joint, name in enumerate(JOINT_NAMES)})


def leg_length(places: Places) -> float:
    """Hip to knee to ankle, mean of both legs, median over frames."""
    total = torch.zeros_like(places["middle"][..., 0])
    for side in ("left", "right"):
        hip, knee, ankle = (places[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        total = total + ((knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1)) / 2
    return float(total.median())


def pelvis_frame(places: Places) -> Tensor:
    """`[..., 3, 3]`: left along the hips, up to the top of the trunk."""
    return frame(places["left_hip"] - places["right_hip"], places["top"] - places["middle"])


def chest_frame(places: Places) -> Tensor:
    """`[..., 3, 3]`: left along the collars, or the shoulders where collars coincide; up as the pelvis has it."""
    return frame(chest_left(places), places["top"] - places["middle"])


def chest_left(places: Places) -> Tensor:
    """`[..., 3]`, from the right of the chest to its left."""
    if "left_collar" in places and "right_collar" in places:
        line = places["left_collar"] - places["right_collar"]
        if float(line.norm(dim=-1).median()) > SHORT * leg_length(places):
            return line
    return places["left_shoulder"] - places["right_shoulder"]


def frame(left: Tensor, up: Tensor) -> Tensor:
    """Columns left, up, forward from two directions, `[..., 3] -> [..., 3, 3]`; left is kept, up made orthogonal.

    Where the two are parallel or one is zero there is no frame, and the result is NaN: `filled` replaces it.
    """
    x = unit(left)
    y = up - (up * x).sum(-1, keepdim=True) * x
    y = torch.where(y.norm(dim=-1, keepdim=True) > 1e-3 * up.norm(dim=-1, keepdim=True), unit(y), torch.nan)
    return torch.stack((x, y, torch.linalg.cross(x, y, dim=-1)), dim=-1)


def filled(frames: Tensor) -> Tensor:
    """Frames over time `[T, 3, 3]` with NaN replaced by the one before, or the first one that there is."""
    valid = torch.isfinite(frames).all(-1).all(-1)  # [T]
    if bool(valid.all()) or not bool(valid.any()):
        return frames
    last = torch.where(valid, torch.arange(len(frames)), -1).cummax(0).values
    return frames[torch.where(last < 0, int(valid.int().argmax()), last)]


def least_rotation(start: Tensor, end: Tensor) -> Tensor:
    """The smallest rotation that turns direction `start` into `end`, `[..., 3] -> [..., 3, 3]`.

    Of all rotations that do, it is the one without a twist about the direction. Identity for a zero vector.

    >>> turned = least_rotation(torch.tensor([0.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
    >>> print([round(x) for x in (turned @ torch.tensor([0.0, 1.0, 0.0])).tolist()])
    [1, 0, 0]
    """
    start, end = torch.broadcast_tensors(start, end)
    nothing = (start.norm(dim=-1) < 1e-9) | (end.norm(dim=-1) < 1e-9)  # [...]
    a, b = unit(start), unit(end)
    cosine = (a * b).sum(-1)[..., None, None]  # [..., 1, 1]
    cross = _cross_matrix(torch.linalg.cross(a, b, dim=-1))  # [..., 3, 3]
    eye = torch.eye(3, dtype=start.dtype)
    # Rodrigues' formula with sin and cos taken from the vectors: I + K + K^2 / (1 + cos).
    turn = eye + cross + cross @ cross / (1 + cosine).clamp(min=1e-12)
    # Opposite directions: half a turn about any axis across `start`; take the one furthest from it.
    furthest = torch.nn.functional.one_hot(a.abs().argmin(-1), 3).to(a)
    axis = unit(torch.linalg.cross(a, furthest, dim=-1))
    half = 2 * axis[..., :, None] * axis[..., None, :] - eye
    turn = torch.where(cosine < -1 + 1e-9, half, turn)
    return torch.where(nothing[..., None, None], eye, turn)


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Degrees between directions, `[..., 3] -> [...]`; 0 for a zero vector."""
    a, b = torch.broadcast_tensors(unit(a), unit(b))
    sine = torch.linalg.cross(a, b, dim=-1).norm(dim=-1)
    degrees: Tensor = torch.rad2deg(torch.atan2(sine, (a * b).sum(-1)))
    return degrees


def unit(vector: Tensor) -> Tensor:
    """Divided by its length; a zero vector stays zero. `[..., 3] -> [..., 3]`."""
    length = vector.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    result: Tensor = vector / length
    return result


def _cross_matrix(v: Tensor) -> Tensor:
    """K with K w = v x w, `[..., 3] -> [..., 3, 3]`."""
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.unflatten(torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1), -1, (3, 3))
