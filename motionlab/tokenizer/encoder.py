"""Motion to vectors: a convolution in, `down_t` times halve the frame rate, a convolution out.

The index of each layer in `model` is that of the published checkpoint. There, place 0 holds a wavelet "patcher" that
does nothing at its published setting; the place is kept so that the names agree.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.tokenizer.convolution import TimeConv
from motionlab.tokenizer.resnet import ResidualStack


class Encoder(nn.Module):
    """`[B, T, input_dim]` -> `[B, T / 2**down_t, code_dim]`."""

    def __init__(
        self,
        input_dim: int,
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
            nn.Identity(),  # the patcher's place
            TimeConv(input_dim, width, 3, causal=causal),
            nn.ReLU(),  # always; `activation` is that of the residual blocks
            *(
                nn.Sequential(
                    TimeConv(width, width, 4, stride=2, causal=causal),  # [B, t, C] -> [B, t / 2, C]
                    ResidualStack(width, depth, growth=growth, activation=activation, norm=norm, causal=causal),
                )
                for _ in range(down_t)
            ),
            TimeConv(width, code_dim, 3, causal=causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.model(x)
        return result
