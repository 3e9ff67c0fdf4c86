"""Vectors to motion: the encoder's mirror image.

The index of each layer in `model` is that of the published checkpoint. There the convolution after each doubling has
size 3 whatever the kernel size; here too, so that the parameter counts agree.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.tokenizer.convolution import Repeat, TimeConv
from motionlab.tokenizer.padding import WHOLE, Border, Layers
from motionlab.tokenizer.patcher import HaarUnpatch
from motionlab.tokenizer.resnet import ResidualStack


class Decoder(nn.Module):
    """`[B, N, code_dim]` -> `[B, N * p * 2**down_t, output_dim]`, p = `patch_size`."""

    def __init__(
        self,
        output_dim: int,
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
            TimeConv(code_dim, width, kernel, causal=causal),
            nn.ReLU(inplace=True),  # always; `activation` is that of the residual blocks
            *(
                Layers(
                    ResidualStack(
                        width, depth, growth=growth, activation=activation, norm=norm, causal=causal, kernel=kernel
                    ),
                    Repeat(),  # [B, t, C] -> [B, 2t, C]
                    TimeConv(width, width, 3, causal=causal),
                )
                for _ in range(down_t)
            ),
            TimeConv(width, width, kernel, causal=causal),
            nn.ReLU(inplace=True),
            TimeConv(width, output_dim * patch_size, kernel, causal=causal),
            HaarUnpatch(patch_size) if patch_size > 1 else nn.Identity(),  # [B, T / p, p F] -> [B, T, F]
        )

    def forward(self, codes: Tensor, border: Border = WHOLE) -> Tensor:
        result: Tensor = self.model(codes, border)
        return result
