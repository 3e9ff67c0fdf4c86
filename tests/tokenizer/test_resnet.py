"""Residual blocks: order of dilations, norms, activations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from motionlab.errors import InputError
from motionlab.tokenizer.resnet import ResidualBlock, ResidualStack, activation_layer


def stack(depth: int = 3, **changes: object) -> ResidualStack:
    arguments: dict[str, object] = {"growth": 3, "activation": "relu", "norm": "LN", "causal": False} | changes
    return ResidualStack(8, depth, **arguments)  # type: ignore[arg-type]


def test_dilations_run_from_wide_to_narrow() -> None:
    blocks = [block for block in stack().model if isinstance(block, ResidualBlock)]
    assert [block.conv1.dilation for block in blocks] == [(9,), (3,), (1,)]
    assert len(stack(depth=0).model) == 0


@pytest.mark.parametrize("norm", ["LN", None])
@pytest.mark.parametrize("activation", ["relu", "silu", "gelu"])
def test_block_is_its_formula(norm: str | None, activation: str) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, dilation=3, activation=activation, norm=norm, causal=False)
    function = {"relu": torch.relu, "silu": lambda v: v * v.sigmoid(), "gelu": nn.functional.gelu}[activation]

    def normed(layer: nn.Module, v: torch.Tensor) -> torch.Tensor:
        if norm is None:
            return v
        centred = v - v.mean(-1, keepdim=True)
        unit = centred / (v.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return unit * layer.get_parameter("weight") + layer.get_parameter("bias")

    x = torch.randn(2, 10, 6)
    h = function(normed(block.norm1, x)).transpose(1, 2)
    h = nn.functional.conv1d(h, block.conv1.weight, block.conv1.bias, padding=3, dilation=3).transpose(1, 2)
    h = function(normed(block.norm2, h)).transpose(1, 2)
    expected = x + nn.functional.conv1d(h, block.conv2.weight, block.conv2.bias).transpose(1, 2)
    torch.testing.assert_close(block(x), expected)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="found 'swiGLU', expected relu or silu or gelu"):
        activation_layer("swiGLU")
    with pytest.raises(InputError, match="norm: found 'IN'"):
        ResidualBlock(8, dilation=1, activation="relu", norm="IN", causal=False)


@pytest.mark.parametrize("causal", [False, True])
def test_kernel_5_reaches_twice_as_far(causal: bool) -> None:
    block = ResidualBlock(4, dilation=3, activation="gelu", norm=None, causal=causal, kernel=5)
    x = torch.randn(1, 40, 4, requires_grad=True)
    block(x)[0, 20].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert touched == ([8, 11, 14, 17, 20] if causal else [14, 17, 20, 23, 26])
