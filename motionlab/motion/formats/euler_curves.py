"""Euler angles as curves over time: of all triples that give a rotation, the one nearest to the frame before.

A program that draws between two frames interpolates each channel of a BVH file on its own. From 179 to -179 degrees it
would turn a joint once around its axis, although the two rotations are 2 degrees apart. Three freedoms avoid that, and
none changes a rotation: whole turns of a channel, the second solution (for the order ZYX: Z + 180, 180 - Y, X + 180),
and where the middle angle is +-90 degrees (gimbal lock) any split of one turn between the first and the last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.rotations import euler_parity, matrix_to_euler

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
LOCKED = 1e-4  # degrees from +-90 of the middle angle within which first and last turn about the same axis, to rounding


def euler_curves(rotations: Tensor, order: str = "ZYX") -> Tensor:
    """Angles in degrees of each joint, without a jump of more than 180 degrees from frame to frame.

    Args:
        rotations: `[T, J, 3, 3]`.
        order: one of `ORDERS`; "ZYX" gives (Z, Y, X) of Rz Ry Rx.

    Returns:
        `[T, J, 3]`. The first frame is within +-180 degrees; a joint that keeps turning keeps counting.
    """
    first = matrix_to_euler(rotations, order)  # [T, J, 3]
    curves = first.clone()
    for t in range(1, len(first)):
        before, angles = curves[t - 1], first[t]  # [J, 3]
        second = torch.stack((angles[:, 0] + 180, 180 - angles[:, 1], angles[:, 2] + 180), dim=-1)
        solutions = [_split(triple, before, euler_parity(order)) for triple in (angles, second)]
        near = torch.stack([_same_turn(triple, before) for triple in solutions])  # [2, J, 3]
        best = (near - before).square().sum(-1).argmin(0)  # [J]
        curves[t] = near.gather(0, best[None, :, None].expand(1, -1, 3))[0]
    return curves


def _same_turn(angles: Tensor, before: Tensor) -> Tensor:
    """Whole turns added to each angle, so that it is within 180 degrees of the one before."""
    return angles - 360 * torch.round((angles - before) / 360)


def _split(angles: Tensor, before: Tensor, parity: int) -> Tensor:
    """At gimbal lock: the last angle stays where it was, and the first takes the rest. Elsewhere nothing changes."""
    first, middle, last = angles.unbind(-1)
    sine = torch.sin(torch.deg2rad(middle))  # +1 or -1 at the lock, where only first - last or first + last is fixed
    locked = torch.cos(torch.deg2rad(middle)).abs() < LOCKED * torch.pi / 180
    stay = before[..., 2]
    turned = first - parity * sine.sign() * (stay - last)
    return torch.stack((torch.where(locked, turned, first), middle, torch.where(locked, stay, last)), dim=-1)
