"""From tokens to geometry: the camera from its token, and depth, points and colours from the token of each patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionlab.vla.backbone.pose_encoding import SIZE

FIRST_GUESS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
"""The identity, 57 degrees wide."""


class CameraHead(nn.Module):
    """Camera tokens `[..., dim]` to a list of pose encodings `[..., 9]`, each a correction of the one before.

    The earlier guess enters without its gradient, as in VGGT: each correction learns on its own.
    """

    guess: Tensor

    def __init__(self, dim: int, refinements: int = 2) -> None:
        super().__init__()
        self.refinements = refinements
        self.register_buffer("guess", torch.tensor(FIRST_GUESS), persistent=False)
        last = nn.Linear(dim // 2, SIZE)
        nn.init.normal_(last.weight, std=0.02)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(dim + SIZE, dim // 2), nn.GELU(), last)

    def forward(self, token: Tensor) -> list[Tensor]:
        pose = self.guess.expand(*token.shape[:-1], SIZE)
        poses = []
        for _ in range(self.refinements):
            raw = pose.detach() + self.mlp(torch.cat([token, pose.detach()], -1))
            # An angle of view is above 0. VGGT uses ReLU; softplus has a gradient everywhere and is steep enough here.
            pose = torch.cat([raw[..., :7], nn.functional.softplus(raw[..., 7:], beta=10)], -1)
            poses.append(pose)
        return poses


class PixelHead(nn.Module):
    """One linear map from the token of a patch to `side x side` places of it: `[B, S, h, w, D] -> [B, S, H, W, c]`.

    VGGT has a DPT here (Ranftl et al., arXiv:2103.13413), which mixes neighbours and layers: sharper and larger.
    """

    def __init__(self, dim: int, side: int, channels: int) -> None:
        super().__init__()
        self.side, self.channels = side, channels
        self.linear = nn.Linear(dim, side * side * channels)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, patches: Tensor) -> Tensor:
        values = self.linear(patches).unflatten(-1, (self.side, self.side, self.channels))  # [B, S, h, w, y, x, c]
        image: Tensor = values.transpose(3, 4).flatten(4, 5).flatten(2, 3)  # [B, S, h, y, w, x, c] -> [B, S, H, W, c]
        return image


def inverse_log(y: Tensor) -> Tensor:
    """`sign(y) (exp(|y|) - 1)`: like y near 0, and far points need only large exponents. The points of VGGT.

    >>> inverse_log(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-1.7183,  0.0000,  1.7183])
    """
    return y.sign() * torch.expm1(y.abs().clamp(max=8))
