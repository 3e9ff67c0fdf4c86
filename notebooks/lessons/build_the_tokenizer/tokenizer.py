"""The tokenizer of lesson 19 for its appendix: the classes of the lesson's cells, word for word, with annotations.

They look their functions up in `parts`, which lets a reader exchange one of them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from lessons.build_the_tokenizer.parts import WRITTEN
from motionlab.quantizers.base import Quantizer

parts = SimpleNamespace(**WRITTEN)


class Conv(nn.Conv1d):
    def forward(self, x: Tensor) -> Any:  # [T, in]; zeros so that T frames give T / stride
        (kernel,), (stride,), (dilation,) = self.kernel_size, self.stride, self.dilation
        sides = ((kernel - 1) * dilation + 1 - stride) // 2
        return parts.convolve(x, self.weight, self.bias, stride, dilation, sides)


class Residual(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.LayerNorm(width), Conv(width, width, 3, dilation=dilation)
        self.norm2, self.conv2 = nn.LayerNorm(width), Conv(width, width, 1)

    def forward(self, x: Tensor) -> Any:
        return parts.residual(x, self.norm1, self.conv1, self.norm2, self.conv2, nn.functional.gelu)


class Double(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return parts.double(x)


class Stack(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Any:
        return self.model(x)


class Tokenizer(nn.Module):
    def __init__(self, width: int, depth: int, quantizer: Quantizer) -> None:
        super().__init__()
        blocks, dim = lambda: Stack(*(Residual(width, 3**i) for i in reversed(range(depth)))), quantizer.dim
        down = [nn.Sequential(Conv(width, width, 4, stride=2), blocks()) for _ in range(2)]
        up = [nn.Sequential(blocks(), Double(), Conv(width, width, 3)) for _ in range(2)]
        # In the published model a wavelet that does nothing stands first, so place 0 holds nothing.
        self.encoder = Stack(nn.Identity(), Conv(272, width, 3), nn.ReLU(), *down, Conv(width, dim, 3))
        ends = (nn.ReLU(), Conv(width, 272, 3))
        self.decoder = Stack(Conv(dim, width, 3), nn.ReLU(), *up, Conv(width, width, 3), *ends)
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Any:  # [T, 272], T a multiple of 4 -> [T, 272]
        return self.decoder(self.quantizer(self.encoder(x)).codes)
