"""A camera as nine numbers: translation, quaternion, field of view. The encoding of VGGT, `absT_quaR_FoV`.

    [0:3] translation of camera-from-world      [3:7] its rotation as a quaternion x, y, z, w with w >= 0
    [7]   fov_h = 2 atan((H / 2) / fy)          [8]   fov_w = 2 atan((W / 2) / fx), radians

Extrinsics here take points of the world into the camera: `x_camera = R x_world + t`. Simulators and robots give the
inverse, the pose of the camera in the world (`world_from_camera`); mixing the two up is the most common mistake.
Axes of a camera: x right, y down, z forward. The way back puts the principal point at the centre of the image.
Wang et al., "VGGT", arXiv:2503.11651, section 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError

SIZE = 9
"""Numbers of one camera."""


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Rotation matrices `[..., 3, 3]` to unit quaternions x, y, z, w `[..., 4]` with w >= 0.

    Each of the four rows of the table below is the quaternion times four times one of its parts; the row of the largest
    part is divided by it, so that nothing is divided by a number near 0.

    >>> quaternion_from_matrix(torch.diag(torch.tensor([1.0, -1.0, -1.0])))  # half a turn about x
    tensor([1., 0., 0., 0.])
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.unbind(-2))
    table = torch.stack(
        [
            torch.stack([1 + a - e - i, b + d, c + g, h - f], -1),  # 4x (x, y, z, w)
            torch.stack([b + d, 1 - a + e - i, f + h, c - g], -1),  # 4y (...)
            torch.stack([c + g, f + h, 1 - a - e + i, d - b], -1),  # 4z (...)
            torch.stack([h - f, c - g, d - b, 1 + a + e + i], -1),  # 4w (...)
        ],
        -2,
    )  # [..., 4, 4]
    largest = table.diagonal(dim1=-2, dim2=-1).argmax(-1)  # [...]
    row = table.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)  # [..., 4]
    unit = F.normalize(row, dim=-1)
    return torch.where(unit[..., 3:] < 0, -unit, unit) + 0.0  # q and -q are one rotation; + 0.0: no minus zero


def matrix_from_quaternion(quaternion: Tensor) -> Tensor:
    """Quaternions x, y, z, w of any length and sign `[..., 4]` to rotation matrices `[..., 3, 3]`.

    >>> matrix_from_quaternion(torch.tensor([0.0, 0.0, 0.0, -2.0])).diagonal()
    tensor([1., 1., 1.])
    """
    x, y, z, w = F.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def encode_camera(camera_from_world: Tensor, intrinsics: Tensor, height: int, width: int) -> Tensor:
    """Extrinsics `[..., 4, 4]` (or `[..., 3, 4]`) and `K [..., 3, 3]` in pixels to `[..., 9]`.

    Raises:
        InputError: other shapes.

    >>> K = torch.tensor([[32.0, 0, 32], [0, 32, 32], [0, 0, 1]])  # 90 degrees over 64 pixels
    >>> encode_camera(torch.eye(4), K, 64, 64)
    tensor([0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 1.0000, 1.5708, 1.5708])
    """
    if camera_from_world.shape[-2:] not in ((4, 4), (3, 4)) or intrinsics.shape[-2:] != (3, 3):
        raise InputError(
            "camera",
            found=f"extrinsics {list(camera_from_world.shape)} and K {list(intrinsics.shape)}",
            expected="[..., 4, 4] and [..., 3, 3]",
            fix="Give camera-from-world matrices and intrinsics in pixels.",
        )
    translation = camera_from_world[..., :3, 3]
    quaternion = quaternion_from_matrix(camera_from_world[..., :3, :3])
    fov_h = 2 * torch.atan(height / 2 / intrinsics[..., 1, 1])
    fov_w = 2 * torch.atan(width / 2 / intrinsics[..., 0, 0])
    return torch.cat([translation, quaternion, fov_h[..., None], fov_w[..., None]], -1)


def decode_camera(pose_enc: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The way back: extrinsics `[..., 4, 4]` and `K [..., 3, 3]`.

    The quaternion need not have length 1, so that the output of a network can be read.
    """
    matrix = torch.zeros(*pose_enc.shape[:-1], 4, 4, dtype=pose_enc.dtype, device=pose_enc.device)
    matrix[..., :3, :3] = matrix_from_quaternion(pose_enc[..., 3:7])
    matrix[..., :3, 3] = pose_enc[..., :3]
    matrix[..., 3, 3] = 1
    intrinsics = torch.zeros(*pose_enc.shape[:-1], 3, 3, dtype=pose_enc.dtype, device=pose_enc.device)
    intrinsics[..., 0, 0] = width / 2 / torch.tan(pose_enc[..., 8] / 2)
    intrinsics[..., 1, 1] = height / 2 / torch.tan(pose_enc[..., 7] / 2)
    intrinsics[..., 0, 2], intrinsics[..., 1, 2], intrinsics[..., 2, 2] = width / 2, height / 2, 1
    return matrix, intrinsics


def inverse(rigid: Tensor) -> Tensor:
    """The inverse of rigid motions `[..., 4, 4]`, such as camera-from-world of world-from-camera: `R^T`, `-R^T t`."""
    turned = rigid[..., :3, :3].transpose(-1, -2)  # [..., 3, 3]
    result = torch.zeros_like(rigid)
    result[..., :3, :3] = turned
    result[..., :3, 3] = -(turned @ rigid[..., :3, 3:])[..., 0]
    result[..., 3, 3] = 1
    return result
