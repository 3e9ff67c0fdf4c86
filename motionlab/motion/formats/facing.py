"""Which way a body faces, from places of joints alone, smoothed over time: as HumanML3D and PFNN define it."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.motion.rotations import yaw_matrix_of

SIGMA = 20.0  # frames; both formats smooth so much, at 20 and at 60 frames per second
_REACH = 4.0  # of sigma: where scipy's gaussian_filter1d, which both use, cuts the bell


def facing(across: Tensor, sigma: float = SIGMA) -> Tensor:
    """Directions on the floor `[T, 3]`, of length 1.

    A line across the body from right to left, crossed with "up", points forward. A body that lies on its side for
    longer than the bell has no such direction; there it is +z.

    Args:
        across: `[T, 3]`, from right to left, any length.
    """
    across = across / across.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=across.dtype).expand_as(across)
    forward = smooth(torch.linalg.cross(across, up), sigma)
    length = forward.norm(dim=-1, keepdim=True)
    ahead = torch.tensor([0.0, 0.0, 1.0], dtype=across.dtype)
    return torch.where(length > 1e-9, forward / length.clamp(min=1e-9), ahead)


def smooth(values: Tensor, sigma: float) -> Tensor:
    """Values `[T, n]` under a bell of `sigma` frames; beyond the ends the first and the last frame stay.

    >>> step = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    >>> print([round(x, 2) for x in smooth(step, 0.5)[:, 0].tolist()])
    [0.0, 0.11, 0.89, 1.0]
    """
    reach = int(_REACH * sigma + 0.5)
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    padded = torch.cat((values[:1].expand(reach, -1), values, values[-1:].expand(reach, -1)))  # [T + 2 reach, n]
    return padded.unfold(0, 2 * reach + 1, 1) @ (weights / weights.sum())  # [T, n]


def turn_to_z(forward: Tensor) -> Tensor:
    """The rotation about y that turns each direction `[T, 3]` on the floor to +z, `[T, 3, 3]`."""
    return yaw_matrix_of(forward[:, 2], -forward[:, 0])
