"""Rotations in five notations: matrix, 6D, axis-angle, quaternion and Euler angles.

Matrices act on column vectors. "6D" is the first two ROWS of the matrix, as in the 272 features (Zhou et al., "On the
Continuity of Rotation Representations in Neural Networks", 2019, use the first two columns). Quaternions are
(w, x, y, z). All functions take any leading shape, keep dtype and device, and have finite gradients everywhere,
also at the identity and at 180 degrees. Half precision is computed in float32; NaN gives NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from motionlab.motion.half_precision import HALF, in_float32


def matrix_to_6d(matrix: Tensor) -> Tensor:
    """`[..., 3, 3] -> [..., 6]`: rows 0 and 1, one after the other.

    >>> matrix_to_6d(torch.eye(3))
    tensor([1., 0., 0., 0., 1., 0.])
    """
    return matrix[..., :2, :].flatten(-2)


@in_float32
def matrix_from_6d(values: Tensor) -> Tensor:
    """`[..., 6] -> [..., 3, 3]` by Gram-Schmidt: always a rotation.

    A network's output is never exactly orthogonal; Gram-Schmidt keeps the direction of the first row and takes the
    part of the second row that is orthogonal to it. Where that is nothing but rounding (parallel rows, a row of zeros)
    any orthogonal direction serves, and the axis farthest from the first row is taken; a first row of zeros is x.

    >>> matrix_from_6d(torch.zeros(6))
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    first, second = values[..., :3], _in_range(values[..., 3:])
    row0 = _unit(first)
    x = torch.eye(3, dtype=values.dtype, device=values.device)[0]
    row0 = torch.where((first == 0).all(-1, keepdim=True), x, row0)
    rest = _orthogonal(second, row0)
    row1 = _unit(rest)
    share = (rest * rest).sum(-1, keepdim=True) / (second * second).sum(-1, keepdim=True).clamp(min=1e-30)
    # Little was left, so its direction is rounded: once more is enough (Kahan; Parlett 1980).
    row1 = torch.where(share < 1e-6, _unit(_orthogonal(row1, row0)), row1)
    farthest = torch.nn.functional.one_hot(row0.abs().argmin(-1), 3).to(row0)  # [..., 3]
    nothing = share <= (8 * torch.finfo(values.dtype).eps) ** 2
    row1 = torch.where(nothing, _unit(_orthogonal(farthest, row0)), row1)
    return torch.stack((row0, row1, torch.linalg.cross(row0, row1)), dim=-2)


@in_float32
def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """`[..., 3] -> [..., 3, 3]`: turn about the vector's direction by its length in radians (Rodrigues' formula)."""
    return quaternion_to_matrix(axis_angle_to_quaternion(axis_angle))


@in_float32
def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """`[..., 3, 3] -> [..., 3]`, length in `[0, pi]` radians."""
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


@in_float32
def axis_angle_to_quaternion(axis_angle: Tensor) -> Tensor:
    """`[..., 3] -> [..., 4]`."""
    squared = (axis_angle * axis_angle).sum(-1, keepdim=True)
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()  # sqrt has no gradient at 0
    # sin(a/2)/a, by its series near 0 where 0/0 would be.
    scale = torch.where(small, 0.5 - squared / 48, torch.sin(angle / 2) / angle)
    cosine = torch.where(small, 1 - squared / 8, torch.cos(angle / 2))
    return torch.cat((cosine, scale * axis_angle), dim=-1)


@in_float32
def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """`[..., 4] -> [..., 3]`, length in `[0, pi]` radians. Of q and -q (one rotation) it takes the shorter turn."""
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    cosine, vector = quaternion[..., :1], quaternion[..., 1:]
    squared = (vector * vector).sum(-1, keepdim=True)
    small = squared < 1e-12
    sine = torch.where(small, torch.ones_like(squared), squared).sqrt()
    # atan2 keeps full precision at 180 degrees, where acos(cosine) would lose half the digits.
    scale = torch.where(small, 2 / cosine.clamp(min=0.5), 2 * torch.atan2(sine, cosine) / sine)
    return scale * vector


@in_float32
def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """`[..., 4] -> [..., 3, 3]`. The quaternion is normalised first.

    >>> quaternion_to_matrix(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    w, x, y, z = _unit(quaternion).unbind(-1)
    # fmt: off
    entries = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )
    # fmt: on
    return torch.unflatten(torch.stack(entries, dim=-1), -1, (3, 3))


@in_float32
def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """`[..., 3, 3] -> [..., 4]` with w >= 0, correct for every rotation.

    The four rows of the symmetric matrix 4 q q^T can be read off a rotation matrix. Each row is q times one of its
    own entries, so the row of the largest entry is never near zero. The well-known short cut (signs of x, y, z from
    the off-diagonal differences) loses the signs at 180 degrees, where those differences are all zero.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, wx, wy, wz), -1),
            torch.stack((wx, 1 + xx - yy - zz, xy, xz), -1),
            torch.stack((wy, xy, 1 - xx + yy - zz, yz), -1),
            torch.stack((wz, xz, yz, 1 - xx - yy + zz), -1),
        ),
        dim=-2,
    )  # [..., 4, 4] = 4 q q^T
    largest = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(-1)  # [...]
    row = rows.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4))[..., 0, :]  # [..., 4]
    quaternion = _unit(row)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


@in_float32
def slerp(start: Tensor, end: Tensor, t: Tensor | float) -> Tensor:
    """Turn from one quaternion to another by the shorter way, at constant speed (Shoemake, 1985).

    Args:
        start, end: `[..., 4]`, unit length.
        t: `[...]` or a number; 0 gives `start`, 1 gives `end`.

    >>> half = slerp(torch.tensor([1.0, 0, 0, 0]), torch.tensor([0.0, 0, 1, 0]), 0.5)
    >>> print([round(value, 4) for value in half.tolist()])
    [0.7071, 0.0, 0.7071, 0.0]
    """
    t = torch.as_tensor(t, dtype=start.dtype, device=start.device)[..., None]
    dot = (start * end).sum(-1, keepdim=True)
    end = torch.where(dot < 0, -end, end)
    dot = dot.abs()
    # Nearly equal: sin(angle) is 0, and the straight line is the same to rounding.
    near = dot > 1 - 1e-6
    angle = torch.acos(torch.where(near, torch.zeros_like(dot), dot))
    sine = torch.sin(angle)
    weight0 = torch.where(near, 1 - t, torch.sin((1 - t) * angle) / sine)
    weight1 = torch.where(near, t, torch.sin(t * angle) / sine)
    return _unit(weight0 * start + weight1 * end)


@in_float32
def yaw_matrix(angle: Tensor) -> Tensor:
    """`[...] -> [..., 3, 3]`: rotation about the vertical axis, Ry = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]."""
    return yaw_matrix_of(torch.cos(angle), torch.sin(angle))


def yaw_matrix_of(cosine: Tensor, sine: Tensor) -> Tensor:
    """`yaw_matrix` for a known cosine and sine."""
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    entries = (cosine, zero, sine, zero, one, zero, -sine, zero, cosine)
    return torch.unflatten(torch.stack(entries, dim=-1), -1, (3, 3))


@in_float32
def heading_vector(root_rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the heading psi, `[..., 3, 3] -> [...], [...]`.

    The heading is the direction on the floor that the pelvis' z axis points to. When that axis is vertical (a flip, a
    roll, crawling) there is no such direction; exactly there the heading is defined as 0. With any choice the
    features remain decodable, because the decoder undoes the same turn.
    """
    sine, cosine = root_rotation[..., 0, 2], root_rotation[..., 2, 2]
    squared = sine * sine + cosine * cosine
    undefined = squared == 0
    length = torch.where(undefined, torch.ones_like(squared), squared).sqrt()
    return torch.where(undefined, torch.ones_like(cosine), cosine / length), sine / length


def matrix_to_euler(matrix: Tensor, order: str = "ZYX") -> Tensor:
    """`[..., 3, 3] -> [..., 3]` angles in degrees about the axes of `order`: "ZYX" gives (Z, Y, X) of Rz Ry Rx.

    The middle angle is within +-90 degrees. At +-90 the first and the last axis coincide (gimbal lock); then the last
    angle is set to 0 and the first takes the whole turn.

    Args:
        order: X, Y and Z, each once.

    >>> turn = yaw_matrix(torch.tensor(math.pi / 6))
    >>> print([round(x) for x in matrix_to_euler(turn, "XYZ").tolist()])
    [0, 30, 0]
    """
    m = matrix.float() if matrix.dtype in HALF else matrix
    a, b, c = ("XYZ".index(axis) for axis in order)
    sign = -euler_parity(order)  # entries off the diagonal change their sign with the handedness of the order
    cosine = torch.sqrt(m[..., c, c] ** 2 + m[..., b, c] ** 2)  # of the middle angle, never negative
    middle = torch.atan2(-sign * m[..., a, c], cosine)
    locked = cosine < 16 * torch.finfo(matrix.dtype).eps  # of the dtype that the matrix was rounded to
    first = torch.where(
        locked, torch.atan2(-sign * m[..., c, b], m[..., b, b]), torch.atan2(sign * m[..., b, c], m[..., c, c])
    )
    last = torch.where(locked, torch.zeros_like(middle), torch.atan2(sign * m[..., a, b], m[..., a, a]))
    return (torch.stack((first, middle, last), dim=-1) * (180 / math.pi)).to(matrix.dtype)


def euler_parity(order: str) -> int:
    """1 for the orders XYZ, YZX and ZXY, -1 for the other three."""
    return 1 if order in "XYZXY" else -1


def _unit(vector: Tensor) -> Tensor:
    """Divide by the length; a zero vector stays zero instead of becoming NaN (also in the gradient)."""
    vector = _in_range(vector)
    squared = (vector * vector).sum(-1, keepdim=True)
    zero = squared == 0
    return vector / torch.where(zero, torch.ones_like(squared), squared).sqrt()


def _in_range(vector: Tensor) -> Tensor:
    """The vector, or one of the same direction where its square would leave float32."""
    largest = vector.detach().abs().amax(-1, keepdim=True)
    far = (largest > 1e15) | ((largest < 1e-15) & (largest > 0))
    return vector / torch.where(far, largest, torch.ones_like(largest))


def _orthogonal(vector: Tensor, unit: Tensor) -> Tensor:
    """The part of a vector that is orthogonal to a unit vector."""
    return vector - (unit * vector).sum(-1, keepdim=True) * unit
