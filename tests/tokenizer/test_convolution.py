"""The channels-last convolution against `Conv1d` on the transposed input."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.tokenizer.convolution import Repeat, TimeConv


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 3), (3, 1, 9), (5, 1, 1), (5, 1, 2), (4, 2, 1), (1, 1, 1)]
)
@pytest.mark.parametrize("causal", [False, True])
def test_equals_conv1d(kernel: int, stride: int, dilation: int, causal: bool) -> None:
    torch.manual_seed(0)
    conv = TimeConv(5, 7, kernel, stride=stride, dilation=dilation, causal=causal)
    x = torch.randn(3, 12, 5, requires_grad=True)
    zeros = (kernel - 1) * dilation + 1 - stride
    sides = (zeros, 0) if causal else (zeros // 2, zeros // 2)
    plain = F.conv1d(F.pad(x.transpose(1, 2), sides), conv.weight, conv.bias, stride, 0, dilation).transpose(1, 2)
    fast = conv(x)
    assert fast.shape == (3, 12 // stride, 7)
    torch.testing.assert_close(fast, plain)
    gradient = torch.randn_like(plain)
    parameters = [x, *conv.parameters()]
    for found, expected in zip(
        torch.autograd.grad(fast, parameters, gradient), torch.autograd.grad(plain, parameters, gradient), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_parameters_keep_the_published_shape() -> None:
    conv = TimeConv(272, 32, 3)
    assert conv.weight.shape == (32, 272, 3) and conv.bias is not None and conv.bias.shape == (32,)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (3, 1, 9), (5, 1, 2), (4, 2, 1)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_product_for_short_inputs_is_the_convolution(
    kernel: int, stride: int, dilation: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    conv = TimeConv(5, 300, kernel, stride=stride, dilation=dilation, causal=causal)
    used = []
    monkeypatch.setattr(conv, "_as_product", lambda x: used.append(x.shape[1]) or TimeConv._as_product(conv, x))
    for frames in (2, 4, 12, 200):
        x = torch.randn(2, frames, 5)
        with torch.no_grad():
            short = conv(x)
        torch.testing.assert_close(short, conv(x))
        assert short.is_contiguous()
    assert used == [frames + conv.past for frames in (2, 4, 12)]  # without gradients, and not for long inputs


def test_output_has_channels_last_in_memory() -> None:
    """The point of the layout: layer norm and the next convolution get contiguous numbers without a copy."""
    assert TimeConv(64, 64, 3)(torch.randn(4, 16, 64)).is_contiguous()


def test_repeat() -> None:
    x = torch.arange(6.0).view(1, 3, 2)
    assert Repeat()(x).tolist() == [[[0, 1], [0, 1], [2, 3], [2, 3], [4, 5], [4, 5]]]
    torch.testing.assert_close(
        Repeat()(x).transpose(1, 2), F.interpolate(x.transpose(1, 2), scale_factor=2, mode="nearest")
    )
