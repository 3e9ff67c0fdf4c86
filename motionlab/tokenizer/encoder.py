"""Motion to vectors: a convolution in, `down_t` times halve the frame rate, a convolution out.

The index of each layer in `model` is that of the published checkpoint, where place 0 holds the wavelet. Without one
the place is kept so that the names agree.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.tokenizer.convolution import TimeConv
from motionlab.tokenizer.padding import WHOLE, Border, Layers
from motionlab.tokenizer.patcher import HaarPatch
from motionlab.tokenizer.resnet import ResidualStack


class Encoder(nn.Module):
    """`[B, T, input_dim]` -> `[B, T / (p * 2**down_t), code_dim]`, p = `patch_size`."""

    def __init__(
        self,
        input_dim: int,
        width: int,
        code_dim: int,
        *,
        depth: int,
        down_t: int,
        growth: int,
        kernel: int,
        activation: str,
        norm: str | None,
        causal: bool,
        patch_size: int,
    ) -> None:
        super().__init__()
        self.model = Layers(
            HaarPatch(patch_size) if patch_size > 1 else nn.Identity(),  # [B, T, F] -> [B, T / p, p F]
            TimeConv(input_dim * patch_size, width, kernel, causal=causal),
            nn.ReLU(inplace=True),  # always; `activation` is that of the residual blocks
            *(
                Layers(
                    TimeConv(width, width, 4, stride=2, causal=causal),  # [B, t, C] -> [B, t / 2, C]
                    ResidualStack(
                        width, depth, growth=growth, activation=activation, norm=norm, causal=causal, kernel=kernel
                    ),
                )
                for _ in range(down_t)
            ),
            TimeConv(width, code_dim, kernel, causal=causal),
        )

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        result: Tensor = self.model(x, border)
        return result
