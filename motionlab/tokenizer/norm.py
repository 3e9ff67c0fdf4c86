"""The norms of the residual blocks on `[B, T, C]`: over a frame, over a clip, or over a batch.

| name | averages over                     | a frame's output depends on          | may be causal |
|------|-----------------------------------|--------------------------------------|---------------|
| LN   | the channels of one frame         | that frame                           | yes           |
| GN   | 32 groups of channels, all frames | its whole clip                       | no            |
| BN   | one channel, all clips and frames | in training, its batch; then nothing | yes           |

LN: Ba et al. 2016 (arXiv 1607.06450). GN: Wu and He 2018 (arXiv 1803.08494). BN: Ioffe and Szegedy 2015 (arXiv
1502.03167). Names, groups and epsilons are those of the published code. Padding counts for nothing: see `Ragged`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.tokenizer.padding import WHOLE, AcrossTime, Border

GROUPS = 32


class GroupNorm(nn.GroupNorm, AcrossTime):
    """Mean and variance of each group of channels over all real frames of a clip."""

    def __init__(self, width: int) -> None:
        if width % GROUPS:
            raise InputError(
                "width", found=width, expected=f"a multiple of {GROUPS} for norm 'GN'", fix="Change the width or norm."
            )
        super().__init__(GROUPS, width, eps=1e-6)

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        real = border.real(x)
        if real is None:
            # torch.group_norm, because F.group_norm refuses a batch of one frame.
            first = x.transpose(1, 2)  # [B, T, C] -> [B, C, T]
            return torch.group_norm(first, GROUPS, self.weight, self.bias, self.eps).transpose(1, 2)
        groups: Tensor = x.float().unflatten(2, (GROUPS, -1))  # [B, T, C] -> [B, T, G, C / G]
        weight = real[:, :, None, None].float()
        count = weight.sum(1, keepdim=True).clamp(min=1) * groups.shape[3]  # [B, 1, 1, 1]
        centred = groups - (groups * weight).sum((1, 3), keepdim=True) / count
        variance = (centred.square() * weight).sum((1, 3), keepdim=True) / count  # [B, 1, G, 1]
        normed = (centred * torch.rsqrt(variance + self.eps)).flatten(2)  # [B, T, C]
        return (normed * self.weight + self.bias).to(x.dtype)


class BatchNorm(nn.BatchNorm1d, AcrossTime):
    """Mean and variance of each channel over all real frames of the batch; running averages once `eval()` is called."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        real = border.real(x) if self.training else None
        frames = x.flatten(0, 1) if real is None else x[real]  # [B, T, C] -> [frames, C]
        if self.training and len(frames) < 2:
            raise InputError(
                "motion",
                found="a single frame or token in the batch",
                expected="two or more, to train with norm 'BN'",
                fix="Give a longer or larger batch, call eval() first, or use norm 'LN'.",
            )
        normed = super().forward(frames)
        if real is None:
            return normed.view(x.shape)
        result = torch.zeros_like(x)
        result[real] = normed.to(x.dtype)
        return result


NORMS: dict[str | None, Callable[[int], nn.Module]] = {
    "LN": nn.LayerNorm, "GN": GroupNorm, "BN": BatchNorm, None: nn.Identity,
}  # fmt: skip


def norm_layer(name: str | None, width: int, *, causal: bool = False) -> nn.Module:
    """A new norm by name: "LN", "GN", "BN" or None.

    Raises:
        InputError: unknown name, a width that GN cannot divide, or GN in a causal model: it sees the future.
    """
    if name not in NORMS:
        raise InputError(
            "norm", found=repr(name), expected=", ".join(repr(known) for known in NORMS), fix="Choose one of these."
        )
    if causal and name == "GN":
        raise InputError(
            "norm",
            found="'GN' in a causal model",
            expected="'LN', 'BN' or None",
            fix="GN averages over the whole clip, so every frame would see the future; choose another norm.",
        )
    return NORMS[name](width)
