"""The vectors that the instruction looks at: the features of a backbone as a few vectors.

`GeometryFeatureExtractor` is that of AtlasVLA: one vector a view, from the mean of its tokens, its points and its
camera. Where something stands is lost in the mean, and no later layer can bring it back. `SpatialGeometry` keeps one
vector for each patch, with the point that it shows.

AtlasVLA has BatchNorm inside its PointNet. Here it is LayerNorm, over the channels of each point alone. With BatchNorm
the result of one frame depends on the other frames of its batch and on padded views, on whether the model is in train
or eval mode, and on how a batch is cut into micro-batches or spread over processes, so accumulation would no longer
equal the large batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from motionlab.llama.checks import check_sizes
from motionlab.vla.backbone.features import Features


class Memory(NamedTuple):
    """Context tokens: M vectors `[B, M, dim]` that a query may look at, and which are real, bool `[B, M]`."""

    vectors: Tensor
    mask: Tensor


class PointNet(nn.Module):
    """Points `[..., N, 3]` to one vector `[..., dim]` that does not depend on their order (a maximum).

    Qi et al., arXiv:1612.00593, without its learned alignment.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        widths = [3, 64, 128, dim]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # the last layer keeps its sign

    def forward(self, points: Tensor) -> Tensor:
        found: Tensor = self.layers(points).amax(-2)  # [..., N, dim] -> [..., dim]
        return found


class Geometry(nn.Module):
    """The interface: `Features` to a `Memory` of width `dim`."""

    dim: int

    def forward(self, features: Features) -> Memory:
        raise NotImplementedError


class GeometryFeatureExtractor(Geometry):
    """One vector a view: `Memory` with M = S.

    Args:
        token_dim: D of the backbone.
        dim: of the result; AtlasVLA: 512.
        use_points, use_pose: leave these parts out.

    Raises:
        InputError: a size below 1.
    """

    def __init__(self, token_dim: int, dim: int = 512, *, use_points: bool = True, use_pose: bool = True) -> None:
        super().__init__()
        check_sizes(token_dim=token_dim, dim=dim)
        self.dim = dim
        self.tokens = nn.Sequential(nn.Linear(token_dim, 256), nn.LayerNorm(256), nn.GELU())
        self.points = PointNet(256) if use_points else None
        self.pose = nn.Sequential(nn.Linear(9, 128), nn.LayerNorm(128), nn.GELU()) if use_pose else None
        self.out = nn.Linear(256 + 256 * use_points + 128 * use_pose, dim)

    def forward(self, features: Features) -> Memory:
        tokens = torch.cat([features.special, features.grid.flatten(2, 3)], 2)  # [B, S, P, D]
        parts = [self.tokens(tokens.mean(2))]  # [B, S, 256]
        if self.points is not None:
            parts.append(self.points(features.points.flatten(2, 3)))  # [B, S, h*w, 3] -> [B, S, 256]
        if self.pose is not None:
            parts.append(self.pose(features.pose_enc))  # [B, S, 128]
        return Memory(self.out(torch.cat(parts, -1)), features.view_mask)


class SpatialGeometry(Geometry):
    """One vector a patch, and one a camera: `Memory` with M = S * (h * w + 1).

    Args:
        token_dim: D of the backbone.
        views: S; each has a vector of its own, because its tokens do not say which camera they come from.
        dim: of the result.
    """

    def __init__(self, token_dim: int, views: int, dim: int = 128) -> None:
        super().__init__()
        check_sizes(token_dim=token_dim, views=views, dim=dim)
        self.dim = dim
        self.patch = nn.Linear(token_dim + 3, dim)
        self.camera = nn.Linear(token_dim + 9, dim)
        self.view = nn.Parameter(torch.randn(views, 1, dim) * 0.02)
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Features) -> Memory:
        patches = self.patch(torch.cat([features.grid, features.points], -1)).flatten(2, 3)  # [B, S, h*w, dim]
        camera = self.camera(torch.cat([features.special[:, :, 0], features.pose_enc], -1))  # [B, S, dim]
        vectors = torch.cat([camera[:, :, None], patches], 2) + self.view  # [B, S, 1+h*w, dim]
        mask = features.view_mask.repeat_interleave(vectors.shape[2], 1)  # [B, S*(1+h*w)]
        return Memory(self.norm(vectors).flatten(1, 2), mask)
