"""Convolution over time on `[B, T, C]`, the layout in which everything else is cheap.

PyTorch's `Conv1d` wants `[B, C, T]`, and layer norm over channels wants C last, so the published blocks transpose four
times each. Here activations stay `[B, T, C]`. The same numbers seen as an image `[B, C, 1, T]` in channels-last order
need no copy, and `conv2d` runs on that layout directly. Parameters keep the shape of `Conv1d`, `[out, in, k]`.

Measured on one CPU thread, forward and backward of three residual blocks, against the plain way: 1.8x at 128 channels,
1.6x at 256, 1.25x at 512.

Notation: B batch, T frames, C channels, k kernel size, d dilation, s stride.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TimeConv(nn.Conv1d):
    """`Conv1d` on `[B, T, C]`, zero-padded at both ends, or at the past end only when `causal`.

    A stride-1 kernel keeps the length; the stride-2 kernel of size 4 halves an even length.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride=stride, dilation=dilation)
        reach = (kernel - 1) * dilation + 1 - stride  # zeros needed so that T frames give T / s
        self.past = reach if causal else 0
        self.sides = 0 if causal else reach // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1,):
            return F.linear(x, self.weight.squeeze(2), self.bias)  # [B, T, in] -> [B, T, out]
        if self.past:
            x = F.pad(x, (0, 0, self.past, 0))  # [B, past + T, in]
        image = x.transpose(1, 2).unsqueeze(2)  # [B, T, in] -> [B, in, 1, T], a view
        image = F.conv2d(
            image,
            self.weight.unsqueeze(2),  # [out, in, k] -> [out, in, 1, k]
            self.bias,
            stride=(1, self.stride[0]),
            padding=(0, self.sides),
            dilation=(1, self.dilation[0]),
        )
        return image.squeeze(2).transpose(1, 2)  # [B, out, 1, T / s] -> [B, T / s, out], a view


class Repeat(nn.Module):
    """Show every frame twice: `[B, T, C]` -> `[B, 2T, C]` (nearest-neighbour upsampling)."""

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        return x.unsqueeze(2).expand(b, t, 2, c).reshape(b, 2 * t, c)
