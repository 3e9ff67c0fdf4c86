"""The result of a geometry backbone: the keys of VGGT, with the ranks of its tensors."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from torch import Tensor, nn

from motionlab.errors import InputError

CONTRAST = 0.25
"""The unit of colours, about the deviation of pictures: TinyVGGT reads and is corrected in (colour - 0.5) / 0.25."""


class GeometryOutput(TypedDict):
    """B rows, S views, H x W pixels, P tokens a view, D = 2C numbers a token.

    `tokens[l]` `[B, S, P, D]` are the states after layer `l`, those within a view and those over all views side by
    side. Token 0 is the camera, registers follow, patches begin at `patch_start_idx`, row by row.
    """

    tokens: list[Tensor]
    patch_start_idx: int
    pose_enc: Tensor  # [B, S, 9]
    pose_enc_list: list[Tensor]  # each better than the one before; the last is pose_enc
    depth: Tensor  # [B, S, H, W, 1]
    depth_conf: Tensor  # [B, S, H, W], above 1
    world_points: Tensor  # [B, S, H, W, 3], in the first camera
    world_points_conf: Tensor  # [B, S, H, W], above 1
    patch_rgb: NotRequired[Tensor]  # [B, S, H / 2, W / 2, 3], of TinyVGGT


class Backbone(nn.Module):
    """The interface of `TinyVGGT` and `RealVGGT`: images in [0, 1] `[B, S, 3, H, W]` to a `GeometryOutput`.

    Attributes:
        token_dim: D, numbers of a token. The layers after a backbone read it here.
        patch: pixels along the side of a patch.
        settings: plain values that, with the weights, say everything about the result.
    """

    token_dim: int
    patch: int
    settings: dict[str, int | str]

    def forward(self, images: Tensor, view_mask: Tensor | None = None) -> GeometryOutput:
        raise NotImplementedError


def check_images(images: Tensor, patch: int, size: int | None = None) -> None:
    """Raise InputError unless images are floats `[B, S, 3, H, W]` whose sides are multiples of the patch.

    On a CPU values are looked at as well: 0 to 255, or images that were normalised before, give nonsense in silence.

    Args:
        size: the only side that is allowed, for a model with learned positions.
    """
    if images.dim() != 5 or images.shape[2] != 3 or not images.is_floating_point():
        raise InputError(
            "images",
            found=f"{images.dtype} {list(images.shape)}",
            expected="float [B, S, 3, H, W] in [0, 1]",
            fix="Divide bytes by 255 and put the colours before the rows.",
        )
    sides = tuple(images.shape[-2:])
    fits = sides == (size, size) if size else all(side and side % patch == 0 for side in sides)
    if not fits:
        expected = f"{size} x {size} pixels" if size else f"sides that are multiples of {patch}"
        raise InputError(
            "images", found=f"{sides[0]} x {sides[1]} pixels", expected=expected, fix="Resize the images first."
        )
    if images.device.type == "cpu" and images.numel() and not images.requires_grad:
        low, high = (float(value) for value in images.aminmax())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # False for NaN as well
            raise InputError(
                "images", found=f"values {low:.3g} to {high:.3g}", expected="values in [0, 1]",
                fix="Give plain images: the backbone subtracts the mean itself.",
            )  # fmt: skip
