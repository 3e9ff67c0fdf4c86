"""From angles about axes to rotation matrices, for many joints at once.

Three angles are one matrix with closed entries: written out, Rz Ry Rx needs 16 multiplications and 4 additions, where
two products of 3 x 3 matrices take 54 and 36. `euler_to_matrix_plain` multiplies matrices and is the test of the other.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motionlab.motion.rotations import yaw_matrix

BLOCK = 1 << 15  # angles at a time: with all that comes of them they stay in the cache


def euler_to_matrix_plain(angles: Tensor, axes: str) -> Tensor:
    """`[..., n]` degrees about `n` axes to `[..., 3, 3]`; "ZXY" means Rz Rx Ry, as BVH and AMC files write it.

    >>> print(euler_to_matrix_plain(torch.tensor([90.0]), "Z").round().tolist())
    [[-0.0, -1.0, 0.0], [1.0, -0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    result = torch.eye(3, dtype=angles.dtype).expand(*angles.shape[:-1], 3, 3)
    for at, axis in enumerate(axes):
        result = result @ _axis_rotation("XYZ".index(axis), torch.deg2rad(angles[..., at]))
    return result


def euler_to_matrix(angles: Tensor, axes: str, out: Tensor | None = None) -> Tensor:
    """The same, in closed form where the three axes differ; float64 without a gradient.

    Args:
        angles: `[T, J, n]`.
        out: `[T, J, 3, 3]`, filled and returned when given.
    """
    if out is None:
        out = angles.new_empty(*angles.shape[:2], 3, 3)
    if sorted(axes) != ["X", "Y", "Z"]:
        return out.copy_(euler_to_matrix_plain(angles, axes))
    step = max(1, BLOCK // max(1, 3 * angles.shape[1]))
    for start in range(0, len(angles), step):
        _fill(angles[start : start + step], axes, out[start : start + step])
    return out


def _fill(angles: Tensor, axes: str, out: Tensor) -> None:
    """R1 R2 R3 about three different axes i, j, k; `sign` is 1 where i, j, k follow each other as x, y, z do, else -1.

    Entry by entry as the two matrix products would round it: (R1 R2) has single products, R3 adds two of each.
    """
    radians = torch.deg2rad(angles.movedim(-1, 0).contiguous())  # [3, T, J]
    # torch computes a cosine in one way whatever the shape, so that both ways of this file agree to the last digit.
    (ci, cj, ck), (si, sj, sk) = torch.cos(radians).numpy(), torch.sin(radians).numpy()
    i, j, k = ("XYZ".index(axis) for axis in axes)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    if sign < 0:
        si, sj, sk = -si, -sj, -sk
    turned = out.numpy()
    # R1 R2 = [[cj, 0, sj], [si sj, ci, -si cj], [-ci sj, si, ci cj]] in rows and columns i, j, k.
    ss, cs = si * sj, ci * sj
    # R3 turns columns i and j: new i = c i + s j, new j = c j - s i.
    np.multiply(cj, ck, out=turned[..., i, i])
    np.negative(cj * sk, out=turned[..., i, j])
    turned[..., i, k] = sj
    np.add(ss * ck, ci * sk, out=turned[..., j, i])
    np.subtract(ci * ck, ss * sk, out=turned[..., j, j])
    np.negative(si * cj, out=turned[..., j, k])
    np.subtract(si * sk, cs * ck, out=turned[..., k, i])
    np.add(cs * sk, si * ck, out=turned[..., k, j])
    np.multiply(ci, cj, out=turned[..., k, k])


def _axis_rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotation about one axis, `[...] -> [..., 3, 3]`: the rotation about y with its rows and columns shifted."""
    matrix = yaw_matrix(angle)
    shift = [(row - axis + 1) % 3 for row in range(3)]
    return matrix[..., shift, :][..., shift]
