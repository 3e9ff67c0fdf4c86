"""Forward kinematics of any tree of joints: from turns relative to the parent to turns and places in the world."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def world_rotations(parents: Sequence[int], rotations: Tensor) -> Tensor:
    """`[T, J, 3, 3]` relative to the parent -> relative to the world. Parents come before children, -1 for none."""
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        local = rotations[:, joint]
        result.append(local if parent < 0 else result[parent] @ local)
    return torch.stack(result, dim=1)


def world_places(parents: Sequence[int], world: Tensor, positions: Tensor) -> Tensor:
    """`[T, J, 3]`, places of the joints.

    Args:
        world: `[T, J, 3, 3]`, as `world_rotations` gives them.
        positions: `[J, 3]` or `[T, J, 3]`, of each joint from its parent in the axes of the parent; of a joint without
            a parent: its place.
    """
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        step = positions[..., joint, :]
        if parent < 0:
            result.append(step.expand(len(world), 3))
        elif step.dim() == 1:
            result.append(result[parent] + world[:, parent] @ step)
        else:
            result.append(result[parent] + (world[:, parent] @ step[..., None])[..., 0])
    return torch.stack(result, dim=1)


def rest_places(parents: Sequence[int], offsets: Tensor) -> Tensor:
    """`[J, 3] -> [J, 3]`: places when nothing is turned, from the steps between parent and child. Roots are at zero."""
    result: list[Tensor] = []
    for joint, parent in enumerate(parents):
        result.append(torch.zeros_like(offsets[joint]) if parent < 0 else result[parent] + offsets[joint])
    return torch.stack(result)
