"""Depth to points: each pixel goes back along its ray until its depth is reached."""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.backbone.pose_encoding import inverse


def unproject(depth: Tensor, intrinsics: Tensor, camera_from_world: Tensor, *, pixel_centre: float = 0.5) -> Tensor:
    """Points in the world `[..., H, W, 3]` of depth maps `[..., H, W]`, in the unit of the depth.

    Depth is the z coordinate in the camera (the distance along the axis), not the length of the ray.

    Args:
        intrinsics: `K [..., 3, 3]` in pixels.
        camera_from_world: `[..., 4, 4]`.
        pixel_centre: where the first pixel is sampled. With 0.5 the image reaches from 0 to W and a centred principal
            point is W / 2. Programs that put the first pixel at 0 need 0.0; half a pixel of 64 is 1 mm at 10 cm.

    Raises:
        InputError: shapes that do not belong together.

    >>> K = torch.tensor([[1.0, 0, 1], [0, 1, 1], [0, 0, 1]])  # an image of two by two pixels
    >>> unproject(torch.full((2, 2), 2.0), K, torch.eye(4))[0]  # 90 degrees wide, two units away
    tensor([[-1., -1.,  2.],
            [ 1., -1.,  2.]])
    """
    if depth.shape[:-2] != intrinsics.shape[:-2] or depth.shape[:-2] != camera_from_world.shape[:-2]:
        raise InputError(
            "depth",
            found=f"depth {list(depth.shape)}, K {list(intrinsics.shape)}, camera {list(camera_from_world.shape)}",
            expected="[..., H, W], [..., 3, 3] and [..., 4, 4] with the same first sides",
            fix="Give one K and one camera for each depth map.",
        )
    height, width = depth.shape[-2:]
    v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None] + pixel_centre  # [H, 1]
    u = torch.arange(width, dtype=depth.dtype, device=depth.device) + pixel_centre  # [W]
    flat = intrinsics[..., None, None]  # [..., 3, 3, 1, 1]
    x = (u - flat[..., 0, 2, :, :]) / flat[..., 0, 0, :, :] * depth  # [..., H, W]
    y = (v - flat[..., 1, 2, :, :]) / flat[..., 1, 1, :, :] * depth
    return transform(inverse(camera_from_world), torch.stack([x, y, depth], -1))


def transform(rigid: Tensor, points: Tensor) -> Tensor:
    """Rigid motions `[..., 4, 4]` of points `[..., H, W, 3]`."""
    turned = points.flatten(-3, -2) @ rigid[..., :3, :3].transpose(-1, -2) + rigid[..., None, :3, 3]  # [..., H*W, 3]
    result: Tensor = turned.unflatten(-2, points.shape[-3:-1])
    return result
