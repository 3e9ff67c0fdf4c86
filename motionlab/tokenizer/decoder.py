"""Vectors to motion: the encoder's mirror image.

The index of each layer in `model` is that of the published checkpoint.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.tokenizer.convolution import Repeat, TimeConv
from motionlab.tokenizer.resnet import ResidualStack


class Decoder(nn.Module):
    """`[B, N, code_dim]` -> `[B, N * 2**down_t, output_dim]`."""

    def __init__(
        self,
        output_dim: int,
        width: int,
        code_dim: int,
        *,
        depth: int,
        down_t: int,
        growth: int,
        activation: str,
        norm: str | None,
        causal: bool,
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            TimeConv(code_dim, width, 3, causal=causal),
            nn.ReLU(),  # always; `activation` is that of the residual blocks
            *(
                nn.Sequential(
                    ResidualStack(width, depth, growth=growth, activation=activation, norm=norm, causal=causal),
                    Repeat(),  # [B, t, C] -> [B, 2t, C]
                    TimeConv(width, width, 3, causal=causal),
                )
                for _ in range(down_t)
            ),
            TimeConv(width, width, 3, causal=causal),
            nn.ReLU(),
            TimeConv(width, output_dim, 3, causal=causal),
        )

    def forward(self, codes: Tensor) -> Tensor:
        result: Tensor = self.model(codes)
        return result
