"""The straight-through estimator and the number island."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantizer, check_vectors, straight_through, work_dtype
from motionlab.quantizers.build import make_quantizer

KINDS = ("fsq", "vq_ema")


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_straight_through_is_exact_and_passes_the_gradient(values: list[float]) -> None:
    x = torch.tensor(values, requires_grad=True)
    weights = torch.arange(1.0, len(values) + 1)
    y = straight_through(x, x.round())
    assert torch.equal(y, x.detach().round())
    (y * weights).sum().backward()
    assert x.grad is not None and torch.equal(x.grad, weights)


def test_the_usual_spelling_is_not_exact() -> None:
    """Why `straight_through` is its own function: the sum of a value and a difference is rounded."""
    x = torch.linspace(-3, 3, 10_001)
    usual = x + (x.round() / 3 - x)
    assert not torch.equal(usual, x.round() / 3)


def test_work_dtype_is_never_below_float32() -> None:
    assert [work_dtype(torch.zeros(1, dtype=d)) for d in (torch.float16, torch.bfloat16, torch.float32)] == [
        torch.float32
    ] * 3
    assert work_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64


def test_wrong_width_is_named() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 7\), expected \(..., 8\)"):
        check_vectors(torch.zeros(2, 7), 8)


@pytest.fixture(params=KINDS)
def quantizer(request: pytest.FixtureRequest) -> Quantizer:
    torch.manual_seed(0)
    built = make_quantizer(request.param, 1024, 32)
    built(torch.randn(4, 300, 32))  # the first batch initialises a learned codebook
    return built.eval()


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 1), (2, 3, 4), ()])
def test_shapes_dtypes_and_look_up(quantizer: Quantizer, shape: tuple[int, ...]) -> None:
    z = torch.randn(*shape, 32)
    codes, indices, loss = quantizer(z)
    assert codes.shape == z.shape and indices.shape == shape and loss.shape == ()
    assert indices.dtype == torch.int64 and codes.dtype == torch.float32
    assert int(indices.min()) >= 0 and int(indices.max()) < quantizer.codebook_size
    torch.testing.assert_close(quantizer.indices_to_codes(indices), codes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_code(quantizer: Quantizer, dtype: torch.dtype) -> None:
    z = torch.randn(500, 32)
    expected = quantizer(z)
    with torch.autocast("cpu", dtype=dtype):
        found = quantizer(z)
        half = quantizer(z.to(dtype))  # what an encoder under autocast hands over
    assert torch.equal(found.indices, expected.indices) and torch.equal(found.codes, expected.codes)
    assert half.codes.dtype == torch.float32
    assert torch.equal(half.indices, quantizer(z.to(dtype).float()).indices)
    assert torch.equal(half.codes, quantizer(z.to(dtype).float()).codes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_cast_to_bf16_still_counts_in_float32(kind: str) -> None:
    torch.manual_seed(0)
    quantizer = make_quantizer(kind, 1024, 16).to(torch.bfloat16).eval()
    z = torch.randn(200, 16, dtype=torch.bfloat16)
    found = quantizer(z)
    assert found.codes.dtype == torch.bfloat16 and found.indices.dtype == torch.int64
    assert torch.equal(found.indices, quantizer.float()(z.float()).indices)


@pytest.mark.parametrize("kind", KINDS)
def test_float64_stays_float64(kind: str) -> None:
    quantizer = make_quantizer(kind, 256, 8).double()
    codes, _, loss = quantizer(torch.randn(40, 8, dtype=torch.float64))
    assert codes.dtype == loss.dtype == torch.float64


def test_gradient_reaches_the_input(quantizer: Quantizer) -> None:
    z = torch.randn(6, 32, requires_grad=True)
    codes, _, loss = quantizer(z)
    (codes.square().sum() + loss).backward()
    assert z.grad is not None and (z.grad.abs().sum(1) > 0).all()
