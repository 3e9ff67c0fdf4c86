"""Targets of the geometry backbone: cameras, depth and points in the frame and scale of the first camera.

A renderer knows depth, intrinsics and poses exactly, so the targets are free and without noise. Two conventions of VGGT
(arXiv:2503.11651, section 3.4) make them independent of where the world has its origin and of the unit of length:
the world IS the first camera, and the mean distance of all points from it is 1. Predictions are therefore not metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.vla.backbone.pose_encoding import encode_camera, inverse
from motionlab.vla.backbone.unproject import unproject


@dataclass(frozen=True)
class GeometryTargets:
    """The targets that `geometry_loss` compares with. Lengths are in units of `scale`.

    Attributes:
        pose_enc: `[B, S, 9]`; that of the first real view is the identity.
        depth: `[B, S, H, W]`.
        world_points: `[B, S, H, W, 3]`, in the first camera.
        valid: bool `[B, S, H, W]`: a real view and a finite depth above 0.
        view_mask: bool `[B, S]`.
        scale: `[B]`, the mean distance in the unit of the depth that was given.
    """

    pose_enc: Tensor
    depth: Tensor
    world_points: Tensor
    valid: Tensor
    view_mask: Tensor
    scale: Tensor


def first_view(view_mask: Tensor) -> Tensor:
    """The number of the first real view of each row, int64 `[B]`; 0 in a row without any."""
    return view_mask.long().argmax(1)


def geometry_targets(
    depth: Tensor,
    intrinsics: Tensor,
    world_from_camera: Tensor,
    view_mask: Tensor | None = None,
    *,
    pixel_centre: float = 0.5,
) -> GeometryTargets:
    """Targets from what a renderer or an RGB-D camera gives.

    Args:
        depth: `[B, S, H, W]`, along the axis of each camera, in metres; 0 or not finite where there is nothing.
        intrinsics: `K [B, S, 3, 3]` in pixels.
        world_from_camera: `[B, S, 4, 4]`, the pose of each camera in the world.
        view_mask: bool `[B, S]`, False on padded views; None: all are real.
        pixel_centre: see `unproject`.

    Raises:
        InputError: other shapes, or a row without a valid depth.
    """
    if depth.dim() != 4:
        raise InputError("depth", found=f"shape {list(depth.shape)}", expected="[B, S, H, W]", fix="Stack the views.")
    if view_mask is None:
        view_mask = torch.ones(depth.shape[:2], dtype=torch.bool, device=depth.device)
    valid = torch.isfinite(depth) & (depth > 0) & view_mask[..., None, None]  # [B, S, H, W]
    if not bool(valid.flatten(1).any(1).all()):
        row = int((~valid.flatten(1).any(1)).nonzero()[0])
        raise InputError(
            f"depth, row {row}", found="no valid pixel", expected="finite depths above 0 in one view or more",
            fix="Check the depth maps, and that they are in metres.",
        )  # fmt: skip
    depth = torch.where(valid, depth, torch.ones_like(depth))  # a placeholder that no formula stumbles over
    rows = torch.arange(len(depth), device=depth.device)
    reference = world_from_camera[rows, first_view(view_mask)]  # [B, 4, 4]
    # A padded view holds anything, also a matrix of zeros: it gets the camera of the first.
    poses = torch.where(view_mask[..., None, None], world_from_camera, reference[:, None])
    relative = inverse(poses) @ reference[:, None]  # [B, S, 4, 4]: camera from first camera
    eye = torch.eye(3, dtype=intrinsics.dtype, device=intrinsics.device)
    intrinsics = torch.where(view_mask[..., None, None], intrinsics, eye)
    points = unproject(depth, intrinsics, relative, pixel_centre=pixel_centre)  # [B, S, H, W, 3]
    distance = torch.where(valid, points.norm(dim=-1), torch.zeros_like(depth)).flatten(1).sum(1)
    scale = distance / valid.flatten(1).sum(1)  # [B]
    relative = relative.clone()
    relative[..., :3, 3] /= scale[:, None, None]
    height, width = depth.shape[-2:]
    return GeometryTargets(
        pose_enc=encode_camera(relative, intrinsics, height, width),
        depth=depth / scale[:, None, None, None],
        world_points=points / scale[:, None, None, None, None],
        valid=valid,
        view_mask=view_mask,
        scale=scale,
    )
