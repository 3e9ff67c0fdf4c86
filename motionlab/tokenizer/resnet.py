"""Residual blocks with growing dilation: a wide view in time for few layers.

Pre-norm block (He et al. 2016, arXiv 1603.05027): norm, activation, dilated convolution of size 3, norm, activation,
convolution of size 1, plus the input. The stack runs its dilations from wide to narrow: 9, 3, 1 for depth 3.

The names norm1, conv1, norm2, conv2 and `model.0` .. are those of the published checkpoint.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.tokenizer.convolution import TimeConv

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
NORMS = ("LN", None)


def activation_layer(name: str) -> nn.Module:
    """A new activation module by name."""
    if name not in ACTIVATIONS:
        raise InputError("activation", found=repr(name), expected=" or ".join(ACTIVATIONS), fix="Choose one of these.")
    return ACTIVATIONS[name]()


def norm_layer(name: str | None, width: int) -> nn.Module:
    """Layer norm over the channels (`"LN"`), or nothing (`None`)."""
    if name not in NORMS:
        raise InputError("norm", found=repr(name), expected="'LN' or None", fix="Choose one of these.")
    return nn.Identity() if name is None else nn.LayerNorm(width)


class ResidualBlock(nn.Module):
    """`[B, T, C]` -> `[B, T, C]`; a frame sees `dilation` frames to each side (`2 * dilation` back when causal)."""

    def __init__(self, width: int, *, dilation: int, activation: str, norm: str | None, causal: bool) -> None:
        super().__init__()
        self.norm1 = norm_layer(norm, width)
        self.norm2 = norm_layer(norm, width)
        self.activation = activation_layer(activation)
        self.conv1 = TimeConv(width, width, 3, dilation=dilation, causal=causal)
        self.conv2 = TimeConv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(self.activation(self.norm1(x)))
        h = self.conv2(self.activation(self.norm2(h)))
        return x + h


class ResidualStack(nn.Module):
    """`depth` residual blocks with dilations `growth ** (depth - 1)` down to 1."""

    def __init__(self, width: int, depth: int, *, growth: int, activation: str, norm: str | None, causal: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *(
                ResidualBlock(width, dilation=growth**power, activation=activation, norm=norm, causal=causal)
                for power in reversed(range(depth))
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.model(x)
        return result
