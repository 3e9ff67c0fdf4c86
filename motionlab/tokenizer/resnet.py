"""Residual blocks with growing dilation: a wide view in time for few layers.

Pre-norm block (He et al. 2016, arXiv 1603.05027): norm, activation, dilated convolution of size k, norm, activation,
convolution of size 1, plus the input. The stack runs its dilations from wide to narrow: 9, 3, 1 for depth 3.

The names norm1, conv1, norm2, conv2 and `model.0` .. are those of the published checkpoint. The published causal blocks
ignore the kernel size and always use 3; here k means k.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.tokenizer.convolution import TimeConv
from motionlab.tokenizer.norm import norm_layer
from motionlab.tokenizer.padding import WHOLE, AcrossTime, Border, Layers, through

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def activation_layer(name: str, fresh: bool = False) -> nn.Module:
    """A new activation module by name.

    Args:
        fresh: its input is made only for it. Then ReLU overwrites it, whose backward pass needs only the result.
    """
    if name not in ACTIVATIONS:
        raise InputError("activation", found=repr(name), expected=" or ".join(ACTIVATIONS), fix="Choose one of these.")
    return nn.ReLU(inplace=True) if fresh and name == "relu" else ACTIVATIONS[name]()


class ResidualBlock(AcrossTime):
    """`[B, T, C]` -> `[B, T, C]`; a frame sees (k - 1) / 2 * `dilation` frames to each side, or twice that back."""

    def __init__(
        self, width: int, *, dilation: int, activation: str, norm: str | None, causal: bool, kernel: int = 3
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(norm, width, causal=causal)
        self.norm2 = norm_layer(norm, width, causal=causal)
        self.activation = activation_layer(activation, fresh=norm is not None)  # without a norm x itself comes in
        self.conv1 = TimeConv(width, width, kernel, dilation=dilation, causal=causal)
        self.conv2 = TimeConv(width, width, 1)

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        h: Tensor = self.conv1(self.activation(through(self.norm1, x, border)), border)
        h = self.conv2(self.activation(through(self.norm2, h, border)))
        return x + h


class ResidualStack(AcrossTime):
    """`depth` residual blocks with dilations `growth ** (depth - 1)` down to 1."""

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        growth: int,
        activation: str,
        norm: str | None,
        causal: bool,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.model = Layers(
            *(
                ResidualBlock(
                    width, dilation=growth**power, activation=activation, norm=norm, causal=causal, kernel=kernel
                )
                for power in reversed(range(depth))
            )
        )

    def forward(self, x: Tensor, border: Border = WHOLE) -> Tensor:
        result: Tensor = self.model(x, border)
        return result
