"""Cross entropy in chunks equals the plain way in loss and gradients, and never holds all logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from motionlab.llama.objectives.cross_entropy import CHUNK_NUMBERS, chunked_cross_entropy

N, DIM, V = 23, 12, 50


def inputs(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, DIM, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(V, DIM, generator=generator, dtype=dtype).requires_grad_()
    return hidden, weight, torch.randint(V, (N,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [1, 7, N, 100, None])
def test_equals_the_plain_way(smoothing: float, chunk: int | None) -> None:
    hidden, weight, labels = inputs(torch.float32)
    logits = hidden @ weight.T
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
    grads = torch.autograd.grad(3 * expected, (hidden, weight))
    found, hits = chunked_cross_entropy(hidden, weight, labels, smoothing, chunk)
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(3 * found, (hidden, weight)), grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert hits == (logits.argmax(-1) == labels).sum() and not hits.requires_grad


def test_large_logits_stay_finite() -> None:
    hidden, weight, labels = inputs(torch.float32)
    found, _ = chunked_cross_entropy(hidden * 1e3, weight, labels)
    torch.testing.assert_close(found, F.cross_entropy(hidden @ weight.T * 1e3, labels, reduction="sum"))


def test_under_autocast_as_the_plain_way() -> None:
    hidden, weight, labels = inputs(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = F.cross_entropy((F.linear(hidden, weight)).float(), labels, reduction="sum")
        found, _ = chunked_cross_entropy(hidden, weight, labels, chunk=7)
    torch.testing.assert_close(found, expected)
    exact = torch.autograd.grad(F.cross_entropy(hidden @ weight.T, labels, reduction="sum"), (hidden, weight))
    for one, other in zip(torch.autograd.grad(found, (hidden, weight)), exact, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("frozen", ["hidden", "weight", "both"])
def test_frozen_parts_cost_nothing(frozen: str) -> None:
    hidden, weight, labels = inputs(torch.float32)
    expected = torch.autograd.grad(F.cross_entropy(hidden @ weight.T, labels, reduction="sum"), (hidden, weight))
    hidden.requires_grad_(frozen == "weight")
    weight.requires_grad_(frozen == "hidden")
    found, _ = chunked_cross_entropy(hidden, weight, labels, chunk=5)
    assert found.requires_grad == (frozen != "both")
    if frozen != "both":
        found.backward()
        for part, grad in ((hidden, expected[0]), (weight, expected[1])):
            if part.requires_grad:
                torch.testing.assert_close(part.grad, grad, rtol=1e-5, atol=1e-5)
            else:
                assert part.grad is None


def test_no_labels() -> None:
    hidden, weight, labels = inputs(torch.float32)
    found, hits = chunked_cross_entropy(hidden[:0], weight, labels[:0])
    found.backward()
    assert found == 0 and hits == 0 and weight.grad is not None and not weight.grad.any()


def test_a_second_backward_says_so() -> None:
    hidden, weight, labels = inputs(torch.float32)
    found, _ = chunked_cross_entropy(hidden, weight, labels)
    found.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        found.backward()


class Largest(TorchDispatchMode):
    """The most bytes behind any tensor that an operation returns; a view may show the same ones many times."""

    bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.bytes = max(self.bytes, part.untyped_storage().nbytes())
        return result


def test_memory_of_the_published_vocabulary() -> None:
    """1,000 positions of 64,001 logits are 256 MB; no tensor of that size may appear, forward or backward."""
    hidden = torch.randn(1000, 2, requires_grad=True)
    weight = torch.randn(64_001, 2, requires_grad=True)
    labels = torch.randint(64_001, (1000,))
    with Largest() as largest:
        loss, _ = chunked_cross_entropy(hidden, weight, labels)
        loss.backward()
    assert 0 < largest.bytes <= 4 * CHUNK_NUMBERS
