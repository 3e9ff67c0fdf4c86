"""From the output of a backbone to the numbers that a policy reads: patches on their grid, cameras, a few points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.vla.backbone.output import Backbone, GeometryOutput


@dataclass(frozen=True)
class Features:
    """B rows, S views, h x w patches, R camera and register tokens, D numbers a token. Padded views hold zeros.

    Attributes:
        grid: `[B, S, h, w, D]`, the tokens of patches at their places in the image, colours behind them if wanted.
        special: `[B, S, R, D]`, camera and registers; they show no patch, so zeros stand for its colours.
        pose_enc: `[B, S, 9]`.
        points: `[B, S, h, w, 3]`, the point that the middle of each patch shows, in the first camera.
        view_mask: bool `[B, S]`.
    """

    grid: Tensor
    special: Tensor
    pose_enc: Tensor
    points: Tensor
    view_mask: Tensor

    def __len__(self) -> int:
        return len(self.grid)

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def rows(self, index: Sequence[int] | Tensor) -> Features:
        """Some rows, in the order of `index`."""
        index = torch.as_tensor(index, dtype=torch.long)
        return Features(**{name: value[index] for name, value in self.tensors().items()})

    def to(self, device: torch.device | str) -> Features:
        """The same features on another device."""
        return Features(**{name: value.to(device) for name, value in self.tensors().items()})

    def hide_padding(self) -> Features:
        """Zeros in all that belongs to padded views, NaN included."""
        shown = {
            name: value.masked_fill(~self.view_mask.view(*self.view_mask.shape, *[1] * (value.dim() - 2)), 0)
            for name, value in self.tensors().items()
            if name != "view_mask"
        }
        return Features(**shown, view_mask=self.view_mask)


class FeatureReader(nn.Module):
    """A backbone and the choice of what is read from it: images `[B, S, 3, H, W]` -> `Features`.

    Args:
        layers: the mean over this many of the last layers (AtlasVLA takes 2).
        side: mean over neighbouring patches until the grid has this many along a side; None leaves it as it is. The
            37 x 37 patches of VGGT take 11 MB a frame, 8 x 8 half a megabyte.
        norm: LayerNorm of each token, without parameters. The heads of a backbone read its tokens through one, too.
        colours: c x c mean colours of each patch stand behind its token, 0 for none. Geometry does not need to know
            which cube is the red one, and tokens of a small backbone lose it: one that was pretrained with patch
            colours still painted the cubes of the far view grey (error 0.15 of 1, 0.02 elsewhere). With the colours a
            policy of 500 steps has a validation error of 0.043, and 0.066 without (instructions as one-hot vectors).

    Raises:
        InputError: numbers below 1.
    """

    def __init__(
        self, backbone: Backbone, *, layers: int = 1, side: int | None = None, norm: bool = False, colours: int = 0
    ) -> None:
        super().__init__()
        if layers < 1 or (side is not None and side < 1):
            raise InputError(
                "features", found=f"layers={layers}, side={side}", expected="1 or more", fix="Change the number."
            )
        if colours < 0:
            raise InputError("features", found=f"colours={colours}", expected="0 or more", fix="Change the number.")
        self.backbone, self.layers, self.side, self.norm, self.colours = backbone, layers, side, norm, colours
        self.token_dim = backbone.token_dim + 3 * colours**2

    @property
    def settings(self) -> dict[str, int | str | None]:
        """All settings that, with the weights, determine the result."""
        more = {"layers": self.layers, "side": self.side, "norm": self.norm, "colours": self.colours}
        return {**self.backbone.settings, **more}

    def forward(self, images: Tensor, view_mask: Tensor) -> Features:
        """`view_mask`: bool `[B, S]`, False on padded views."""
        check_view_mask(images, view_mask)
        output: GeometryOutput = self.backbone(images, view_mask)
        features = read_features(output, view_mask, layers=self.layers, side=self.side, norm=self.norm)
        return add_colours(features, images, self.colours) if self.colours else features


def read_features(
    output: GeometryOutput, view_mask: Tensor, *, layers: int = 1, side: int | None = None, norm: bool = False
) -> Features:
    """See `FeatureReader`.

    Raises:
        InputError: more layers are wanted than there are, or patches that form no grid.
    """
    tokens, start = output["tokens"], output["patch_start_idx"]
    if layers > len(tokens):
        raise InputError("layers", found=layers, expected=f"at most {len(tokens)}", fix="Read fewer layers.")
    mean = torch.stack(tokens[-layers:]).mean(0) if layers > 1 else tokens[-1]  # [B, S, P, D]
    mean = F.layer_norm(mean, mean.shape[-1:]) if norm else mean
    height, width = output["world_points"].shape[2:4]
    patches = mean.shape[2] - start
    rows = round((patches * height / width) ** 0.5)  # patches are squares
    if rows < 1 or patches % rows:
        raise InputError(
            "tokens",
            found=f"{patches} patches of {height} x {width} pixels",
            expected="a grid",
            fix="Use square patches.",
        )
    grid = mean[:, :, start:].unflatten(2, (rows, patches // rows))  # [B, S, h, w, D]
    if side is not None and side < max(grid.shape[2:4]):
        pooled = F.adaptive_avg_pool2d(grid.flatten(0, 1).movedim(-1, 1), side)  # [B*S, D, side, side]
        grid = pooled.movedim(1, -1).unflatten(0, tuple(mean.shape[:2]))
    points = _middles(output["world_points"], grid.shape[2], grid.shape[3])
    return Features(grid, mean[:, :, :start], output["pose_enc"], points, view_mask).hide_padding()


def add_colours(features: Features, images: Tensor, colours: int) -> Features:
    """`colours` x `colours` mean colours of each patch behind its token: D grows by `3 * colours ** 2`.

    Args:
        images: `[B, S, 3, H, W]` in [0, 1].
    """
    rows, columns = features.grid.shape[2:4]
    small = F.adaptive_avg_pool2d(images.flatten(0, 1), (rows * colours, columns * colours))  # [B*S, 3, h*c, w*c]
    patches = small.unflatten(3, (columns, colours)).unflatten(2, (rows, colours))  # [B*S, 3, h, y, w, x]
    patches = patches.permute(0, 2, 4, 3, 5, 1).flatten(3).unflatten(0, images.shape[:2])  # [B, S, h, w, y*x*3]
    nothing = features.special.new_zeros(*features.special.shape[:3], patches.shape[-1])
    return dataclasses.replace(
        features,
        grid=torch.cat([features.grid, patches.to(features.grid.dtype)], -1),
        special=torch.cat([features.special, nothing], -1),
    ).hide_padding()


def check_view_mask(images: Tensor, view_mask: Tensor) -> None:
    """Raise InputError unless the mask is bool, one value for each view."""
    if view_mask.dtype != torch.bool or view_mask.shape != images.shape[:2]:
        raise InputError(
            "view_mask",
            found=f"{view_mask.dtype} {list(view_mask.shape)}",
            expected=f"bool {list(images.shape[:2])}",
            fix="Give True for each real view and False for each padded one.",
        )


def _middles(points: Tensor, rows: int, columns: int) -> Tensor:
    """`[B, S, H, W, 3]` -> `[B, S, h, w, 3]`, one point of each patch. A mean over an edge would lie in the air."""
    height, width = points.shape[2:4]
    v = ((torch.arange(rows, device=points.device) + 0.5) * height / rows).long()
    u = ((torch.arange(columns, device=points.device) + 0.5) * width / columns).long()
    return points[:, :, v][:, :, :, u]
