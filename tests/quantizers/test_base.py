"""The promises of every quantizer, checked for every kind."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantizer, check_vectors, exact_linear, mean_square, straight_through, work_dtype
from motionlab.quantizers.build import KINDS, make_quantizer
from motionlab.quantizers.codebook import CodebookQuantizer

LEARN_BY_EMA = ("vq_ema", "vq_ema_no_reset", "vq_cosine", "vq_rotation", "rvq")
WITH_LOSS = (*LEARN_BY_EMA, "vq", "simvq", "lfq", "bsq")


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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_exact_linear_of_half_weights_and_inputs_is_that_of_float32(dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(24, 3, bias=bias).to(dtype), torch.randn(4, 20, 24, dtype=dtype, requires_grad=True)
    y = exact_linear(layer, x)
    assert y.dtype == torch.float32
    assert torch.equal(y, F.linear(x.float(), layer.weight.float(), layer.bias.float() if bias else None))
    assert not torch.equal(y, layer(x).float())  # half precision is another result, or this tests nothing
    y.sum().backward()
    assert x.grad is not None and layer.weight.grad is not None
    assert x.grad.dtype == layer.weight.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_exact_linear_minds_no_autocast(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(24, 3), torch.randn(4, 20, 24)
    with torch.autocast("cpu", dtype=dtype):
        found, usual = exact_linear(layer, x), layer(x)
    assert torch.equal(found, layer(x)) and usual.dtype == dtype


def test_exact_linear_of_float64_stays_float64() -> None:
    layer, x = nn.Linear(24, 3).double(), torch.randn(5, 24)
    assert torch.equal(exact_linear(layer, x), layer(x.double()))


def test_wrong_width_is_named() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 7\), expected \(..., 8\)"):
        check_vectors(torch.zeros(2, 7), 8)


@pytest.mark.parametrize("masked", [False, True])
def test_mean_square_and_its_gradients(masked: bool) -> None:
    torch.manual_seed(0)
    z, codes = (torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mask = torch.tensor([[True] * 3, [True, False, False]]) if masked else None
    expected = F.mse_loss(z, codes) if mask is None else F.mse_loss(z[mask], codes[mask])
    torch.testing.assert_close(mean_square(z, codes, mask), expected)
    assert torch.autograd.gradcheck(lambda a, b: mean_square(a, b, mask), (z, codes))


def test_mean_square_of_nothing_is_zero() -> None:
    z = torch.full((2, 3), math.nan, requires_grad=True)
    loss = mean_square(z, torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0 and z.grad is not None and torch.equal(z.grad, torch.zeros(2, 3))
    assert float(mean_square(z[:0], torch.zeros(0, 3)).detach()) == 0


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def quantizer(kind: str) -> Quantizer:
    """One that has seen data, in eval mode."""
    torch.manual_seed(0)
    built = make_quantizer(kind, 256, 16)
    for _ in range(2):
        built(torch.randn(2, 200, 16))
    return built.eval()


def index_shape(quantizer: Quantizer, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if quantizer.n_codebooks == 1 else (*shape, quantizer.n_codebooks)


def test_shapes_dtypes_and_look_up(quantizer: Quantizer) -> None:
    for shape in [(5,), (2, 3), (1, 1), (2, 20), (2, 3, 4), (), (0,), (2, 0)]:
        z = torch.randn(*shape, 16)
        for training in (False, True):
            codes, indices, loss = quantizer.train(training)(z)
            assert codes.shape == z.shape and indices.shape == index_shape(quantizer, shape) and loss.shape == ()
            assert indices.dtype == torch.int64 and codes.dtype == torch.float32
            assert torch.isfinite(loss)
        codes, indices, _ = quantizer.eval()(z)
        assert ((indices >= 0) & (indices < quantizer.codebook_size)).all()
        torch.testing.assert_close(quantizer.indices_to_codes(indices), codes, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["vq", "vq_ema", "vq_cosine", "vq_rotation", "simvq"], indirect=True)
def test_a_code_is_its_own_nearest_code(quantizer: Quantizer) -> None:
    everything = torch.arange(quantizer.codebook_size)
    assert torch.equal(quantizer(quantizer.indices_to_codes(everything)).indices, everything)


def test_channels_first_in_memory_changes_nothing(quantizer: Quantizer) -> None:
    z = torch.randn(3, 20, 16)
    view = z.transpose(1, 2).contiguous().transpose(1, 2)
    expected, found = quantizer(z), quantizer(view)
    assert torch.equal(found.indices, expected.indices)
    torch.testing.assert_close(found.codes, expected.codes)


def test_bits_and_usage(quantizer: Quantizer) -> None:
    assert quantizer.bits == quantizer.n_codebooks * math.log2(quantizer.codebook_size)
    mask = torch.arange(40).view(2, 20) < 30
    quantizer(torch.randn(2, 20, 16), mask)
    usage = quantizer.usage.summary()
    assert usage.tokens == 30
    assert usage.histogram.shape == (
        (quantizer.codebook_size,) if quantizer.n_codebooks == 1 else (quantizer.n_codebooks, quantizer.codebook_size)
    )


def test_usage_before_any_batch_is_empty(kind: str) -> None:
    assert make_quantizer(kind, 256, 8).usage.summary().tokens == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_code(quantizer: Quantizer, dtype: torch.dtype) -> None:
    z = torch.randn(5, 100, 16)
    expected = quantizer(z)
    with torch.autocast("cpu", dtype=dtype):
        found = quantizer(z)
        looked_up = quantizer.indices_to_codes(found.indices)
        half = quantizer(z.to(dtype))  # as an encoder under autocast returns it
    assert torch.equal(found.indices, expected.indices) and torch.equal(found.codes, expected.codes)
    assert half.codes.dtype == looked_up.dtype == torch.float32
    torch.testing.assert_close(looked_up, expected.codes, rtol=0, atol=1e-6)
    assert torch.equal(half.indices, quantizer(z.to(dtype).float()).indices)
    assert torch.equal(half.codes, quantizer(z.to(dtype).float()).codes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_training_step_under_autocast_is_that_of_float32(kind: str, dtype: torch.dtype) -> None:
    def step(autocast: bool) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        quantizer, z = make_quantizer(kind, 256, 16), torch.randn(4, 50, 16, requires_grad=True)
        with torch.autocast("cpu", dtype=dtype, enabled=autocast):
            codes, indices, loss = quantizer(z)
        (codes.square().sum() + loss).backward()
        assert z.grad is not None
        gradients = [p.grad for p in quantizer.parameters() if p.grad is not None]
        return indices, loss, z.grad, *gradients, *quantizer.buffers()

    for found, expected in zip(step(True), step(False), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_cast_to_half_still_counts_in_float32(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    quantizer = make_quantizer(kind, 256, 16).to(dtype).eval()
    z = torch.randn(200, 16, dtype=dtype)
    found = quantizer(z)
    assert found.codes.dtype == dtype and found.indices.dtype == torch.int64
    assert torch.equal(found.indices, quantizer.float()(z.float()).indices)


def test_float64_stays_float64(kind: str) -> None:
    quantizer = make_quantizer(kind, 256, 8).double()
    codes, _, loss = quantizer(torch.randn(40, 8, dtype=torch.float64))
    assert codes.dtype == loss.dtype == torch.float64


def test_gradient_reaches_the_input(quantizer: Quantizer) -> None:
    z = torch.randn(6, 16, requires_grad=True)
    codes, _, loss = quantizer(z)
    (codes.square().sum() + loss).backward()
    assert z.grad is not None and (z.grad.abs().sum(1) > 0).all()


def learned(quantizer: Quantizer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


@pytest.mark.parametrize("filling", [1e4, math.nan])
def test_padding_teaches_nothing(kind: str, filling: float) -> None:
    """Same loss, state and gradients, whatever the padding holds; even NaN stays out of loss and state."""
    torch.manual_seed(0)
    first = make_quantizer(kind, 64, 8)
    first(torch.randn(2, 200, 8))
    second = copy.deepcopy(first)
    mask = torch.arange(40) < torch.tensor([[40], [12]])
    z = torch.randn(2, 40, 8)
    torch.manual_seed(1)
    expected = first(z.masked_fill(~mask.unsqueeze(2), 0.0), mask)
    torch.manual_seed(1)
    found = second(z.masked_fill(~mask.unsqueeze(2), filling), mask)
    assert torch.equal(found.indices[mask], expected.indices[mask])
    torch.testing.assert_close(found.loss, expected.loss)
    for name, value in second.state_dict().items():
        torch.testing.assert_close(value, first.state_dict()[name])
    if expected.loss.requires_grad and not math.isnan(filling):  # 0 times NaN is NaN in the gradient of a linear map
        for result in (found, expected):
            result.loss.backward()
        for a, b in zip(first.parameters(), second.parameters(), strict=True):
            if a.grad is not None:
                torch.testing.assert_close(b.grad, a.grad)


def test_a_batch_of_padding_only(kind: str) -> None:
    torch.manual_seed(0)
    quantizer = make_quantizer(kind, 64, 8)
    nothing = torch.zeros(2, 20, dtype=torch.bool)
    for _ in range(2):  # before and after the codebook has begun
        before = learned(quantizer)
        z = torch.randn(2, 20, 8, requires_grad=True)
        codes, indices, loss = quantizer(z, nothing)
        assert float(loss.detach()) == 0
        (codes * 0).sum().add(loss).backward()
        assert z.grad is not None and torch.equal(z.grad, torch.zeros_like(z))
        if kind in LEARN_BY_EMA:  # averages fade by their decay, and the codes stay
            codebooks = [name for name in before if name.endswith("codebook")]
            for name in codebooks:
                torch.testing.assert_close(quantizer.state_dict()[name], before[name])
        assert quantizer.usage.summary().tokens == 0
        quantizer(torch.randn(2, 200, 8))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_does_not_get_into_the_state(kind: str, bad: float) -> None:
    """It is loud in the loss, or in the codes where there is no loss, and it leaves no trace."""
    torch.manual_seed(0)
    quantizer = make_quantizer(kind, 64, 8)
    z = torch.randn(4, 50, 8)
    z[1, 7, 3] = bad
    for _ in range(2):  # the batch that begins the codebook, and one more
        codes, indices, loss = quantizer(z)
        assert int(indices.min()) >= 0 and int(indices.max()) < quantizer.codebook_size
        assert all(torch.isfinite(value).all() for value in quantizer.state_dict().values())
    if kind in WITH_LOSS and not (kind == "lfq" and math.isinf(bad)):  # the linear map can make NaN of infinity, or not
        assert not torch.isfinite(loss)
    elif math.isnan(bad):
        assert torch.isnan(codes[1, 7]).all()
    assert torch.isfinite(quantizer.eval()(torch.randn(4, 50, 8)).codes).all()


def test_a_training_step_never_asks_the_device_for_an_answer(kind: str) -> None:
    """Tensors on "meta" have no values, so whatever would make a GPU wait for one raises here."""
    quantizer = make_quantizer(kind, 256, 16).to("meta")
    for module in quantizer.modules():
        if isinstance(module, CodebookQuantizer):
            module._begun = True  # only the first step, which fills the codebook, may wait
    z = torch.randn(4, 50, 16, device="meta", requires_grad=True)
    for mask in (None, torch.ones(4, 50, dtype=torch.bool, device="meta")):
        codes, indices, loss = quantizer(z, mask)
        (codes.sum() + loss).backward()
        assert quantizer.indices_to_codes(indices).shape == z.shape
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(loss)  # the test can fail
