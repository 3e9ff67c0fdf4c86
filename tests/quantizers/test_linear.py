"""The linear maps of the quantizers equal torch's own, whatever the layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.quantizers.linear import exact_linear


def with_layout(x: Tensor, layout: str) -> Tensor:
    """The same numbers, held in memory in another order."""
    if layout == "channels first":
        return x.transpose(1, 2).contiguous().transpose(1, 2)
    if layout == "strided":
        return torch.stack([x, x], dim=-1)[..., 0]
    return x


@pytest.mark.parametrize("layout", ["channels last", "channels first", "strided"])
@pytest.mark.parametrize("gradient_layout", ["channels last", "channels first", "strided"])
@pytest.mark.parametrize(("wide", "narrow"), [(24, 3), (3, 24), (5, 5)])
@pytest.mark.parametrize("tokens", [3, 20])  # few tokens take torch's own path
def test_equals_torch(layout: str, gradient_layout: str, wide: int, narrow: int, tokens: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(wide, narrow).double()
    x, g = torch.randn(4, tokens, wide, dtype=torch.float64), torch.randn(4, tokens, narrow, dtype=torch.float64)

    def run(own: bool) -> list[Tensor]:
        layer.zero_grad()
        z = with_layout(x, layout).requires_grad_()
        y = exact_linear(layer, z, like=g) if own else F.linear(z, layer.weight, layer.bias)
        y.backward(with_layout(g, gradient_layout))
        assert z.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
        return [y.detach(), z.grad, layer.weight.grad.clone(), layer.bias.grad.clone()]

    for found, expected in zip(run(True), run(False), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(7,), (30, 7), (2, 3, 20, 7), (0, 20, 7), (2, 0, 7)])
def test_other_shapes(shape: tuple[int, ...]) -> None:
    layer, x = nn.Linear(7, 3), torch.randn(shape)
    torch.testing.assert_close(exact_linear(layer, x), layer(x))


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
def test_the_layout_goes_through(layout: str) -> None:
    """The result, and the gradient that the convolution in front of it gets, need no copy."""
    x = with_layout(torch.randn(4, 20, 24), layout).requires_grad_()
    y = exact_linear(nn.Linear(3, 24), exact_linear(nn.Linear(24, 3), x), like=x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert y.stride() == x.stride() == gradient.stride()


def test_half_weights_and_inputs_are_computed_in_float32() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(24, 3).bfloat16(), torch.randn(4, 20, 24).bfloat16().requires_grad_()
    y = exact_linear(layer, x)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, F.linear(x.float(), layer.weight.float(), layer.bias.float()))
    y.sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16


def test_no_gradient_where_none_is_wanted() -> None:
    layer, x = nn.Linear(24, 3), torch.randn(4, 20, 24)
    exact_linear(layer, x).sum().backward()
    assert x.grad is None and layer.weight.grad is not None
    layer.requires_grad_(False)
    assert not exact_linear(layer, x).requires_grad
