"""Euler angles as curves over time: of all triples that give a rotation, the one nearest to the frame before.

A program that draws between two frames interpolates each channel of a BVH file on its own. From 179 to -179 degrees it
would turn a joint once around its axis, although the two rotations are 2 degrees apart. Three freedoms avoid that, and
none changes a rotation: whole turns of a channel, the second solution (Z + 180, 180 - Y, X + 180), and at Y = +-90
degrees (gimbal lock) any split of one turn between Z and X.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.rotations import matrix_to_euler_zyx

LOCKED = 1e-4  # degrees from Y = +-90 within which Z and X turn about the same axis, to rounding


def euler_curves(rotations: Tensor) -> Tensor:
    """Angles (Z, Y, X) in degrees of each joint, without a jump of more than 180 degrees from frame to frame.

    Args:
        rotations: `[T, J, 3, 3]`.

    Returns:
        `[T, J, 3]`. The first frame is within +-180 degrees; a joint that keeps turning goes on counting.
    """
    first = matrix_to_euler_zyx(rotations)  # [T, J, 3]
    curves = first.clone()
    for t in range(1, len(first)):
        before, angles = curves[t - 1], first[t]  # [J, 3]
        second = torch.stack((angles[:, 0] + 180, 180 - angles[:, 1], angles[:, 2] + 180), dim=-1)
        near = torch.stack([_same_turn(_split(triple, before), before) for triple in (angles, second)])  # [2, J, 3]
        best = (near - before).square().sum(-1).argmin(0)  # [J]
        curves[t] = near.gather(0, best[None, :, None].expand(1, -1, 3))[0]
    return curves


def _same_turn(angles: Tensor, before: Tensor) -> Tensor:
    """Whole turns added to each angle, so that it is within 180 degrees of the one before."""
    return angles - 360 * torch.round((angles - before) / 360)


def _split(angles: Tensor, before: Tensor) -> Tensor:
    """At gimbal lock: X stays where it was, and Z takes the rest of the turn. Elsewhere nothing changes."""
    z, y, x = angles.unbind(-1)
    sine = torch.sin(torch.deg2rad(y))  # +1 or -1 at the lock, where only Z - X or Z + X is fixed
    locked = torch.cos(torch.deg2rad(y)).abs() < LOCKED * torch.pi / 180
    stay = before[..., 2]
    return torch.stack((torch.where(locked, z + sine.sign() * (stay - x), z), y, torch.where(locked, stay, x)), dim=-1)
