"""Frozen features to mean 0 and deviation 1, by statistics of the training split that are kept with the policy.

Tokens of a frozen network have channels whose mean is many times their deviation (11 times in a prototype). A head
that is trained on them sees constants: its gripper accuracy stayed at 0.55, and reached 0.91 after standardising. A
LayerNorm after the first projection does not help, since it normalises over channels and not over frames.

Means are per view, position and channel: a patch that always shows the table is compared with itself. Deviations of
the grid are per channel: the convolution that reads it has the same weights everywhere, so red must be equally red
everywhere. Divided by a deviation of its own, a patch that never changes would show its noise as large as a cube.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.vla.backbone.features import Features

FLOOR = 1e-3
"""The smallest deviation that is divided by: what never changes in the training split is left near 0."""
_NAMES = ("grid", "special", "pose_enc")  # points keep their coordinates: they are compared with each other


class Standardise(nn.Module):
    """`Features -> Features`; numbers of padded views stay 0.

    The statistics are buffers, so a checkpoint of the policy holds them.

    Args:
        views: S. A view has its own statistics.
        side: (h, w) of the grid.
        special: R, camera and register tokens.
        token_dim: D.
    """

    count: Tensor

    def __init__(self, views: int, side: tuple[int, int], special: int, token_dim: int) -> None:
        super().__init__()
        shapes = {"grid": (views, *side, token_dim), "special": (views, special, token_dim), "pose_enc": (views, 9)}
        for name, shape in shapes.items():
            self.register_buffer(f"{name}_mean", torch.zeros(shape))
            self.register_buffer(f"{name}_std", torch.ones(shape))
        self.register_buffer("count", torch.zeros(views, dtype=torch.int64))  # frames of each view

    @torch.no_grad()
    def fit(self, batches: Iterable[Features]) -> None:
        """Take mean and deviation of the real views of all batches: those of the TRAINING split.

        Raises:
            InputError: no frames, features of another shape, or numbers that are not finite.
        """
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        count = torch.zeros_like(self.count)
        for features in batches:
            features = features.hide_padding()
            self._check(features)
            count += features.view_mask.sum(0).to(count.device)
            for name in _NAMES:
                value = features.tensors()[name].double()  # float32 sums over 10^4 frames lose the deviation
                first, second = sums.get(name, (0.0, 0.0))
                sums[name] = (first + value.sum(0), second + value.square().sum(0))
        if not int(count.sum()):
            raise InputError(
                "features", found="no frames", expected="the training split", fix="Give one frame or more."
            )
        for name, (first, second) in sums.items():
            n = count.clamp(min=1).double().to(first.device).view(-1, *[1] * (first.dim() - 1))  # [S, 1, ...]
            mean = first / n
            variance = (second / n - mean.square()).clamp(min=0)
            if name == "grid":
                share = n / n.sum()  # of the frames that a view has
                variance = (share * variance).sum(0).mean((0, 1)).expand_as(variance)
            std = variance.sqrt()
            if not bool(torch.isfinite(std).all()):
                raise InputError(
                    f"features: {name}", found="NaN or infinity", expected="finite numbers",
                    fix="Check the backbone's weights and the images.",
                )  # fmt: skip
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_std").copy_(std.clamp(min=FLOOR))
        self.count.copy_(count)

    def forward(self, features: Features) -> Features:
        """Raises InputError: no statistics yet, or features of another shape."""
        if self.count.device.type == "cpu" and not int(self.count.sum()):  # a GPU would wait for the answer
            raise InputError(
                "standardise", found="no statistics", expected="those of the training split",
                fix="Call fit with the features of the training split, or load a checkpoint.",
            )  # fmt: skip
        self._check(features)
        scaled = {
            name: (features.tensors()[name] - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_std")
            for name in _NAMES
        }
        return Features(**scaled, points=features.points, view_mask=features.view_mask).hide_padding()

    def _check(self, features: Features) -> None:
        for name in _NAMES:
            found, expected = list(features.tensors()[name].shape[1:]), list(getattr(self, f"{name}_mean").shape)
            if found != expected:
                raise InputError(
                    f"features: {name}", found=f"[B, {_sides(found)}]", expected=f"[B, {_sides(expected)}]",
                    fix="Use the views, the image size and the backbone that the policy was made for.",
                )  # fmt: skip


def _sides(shape: list[int]) -> str:
    return ", ".join(map(str, shape))
