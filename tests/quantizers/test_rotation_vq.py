"""The rotation trick against the matrix that it represents."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionlab.quantizers.rotation_vq import RotationVQ, rotate_through


def rotation_matrix(e: Tensor, q: Tensor) -> Tensor:
    """lambda R of the paper, written out for one pair of vectors."""
    unit_e, unit_q = F.normalize(e, dim=0), F.normalize(q, dim=0)
    r = F.normalize(unit_e + unit_q, dim=0)
    rotation = torch.eye(len(e)).to(e) - 2 * torch.outer(r, r) + 2 * torch.outer(unit_q, unit_e)
    return q.norm() / e.norm() * rotation


@given(st.integers(0, 2**31), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_gradient_is_that_of_the_constant_matrix(seed: int, dim: int) -> None:
    e, q, g = torch.randn(3, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrix = rotation_matrix(e, q)
    torch.testing.assert_close(matrix @ e, q)
    e.requires_grad_()
    result = rotate_through(e, q)
    assert torch.equal(result, q)
    result.backward(g)
    assert e.grad is not None
    torch.testing.assert_close(e.grad, matrix.t() @ g)
    # The paper's property: the angle between vector and gradient is the same before and behind.
    torch.testing.assert_close(F.cosine_similarity(e.grad, e.detach(), dim=0), F.cosine_similarity(g, q, dim=0))


def test_vectors_of_length_zero_and_opposite_ones_do_no_harm() -> None:
    e = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]], requires_grad=True)
    q = torch.tensor([[1.0, 0.0], [-2.0, 0.0], [0.0, 0.0]])
    rotate_through(e, q)[1:].sum().backward()
    assert e.grad is not None and torch.isfinite(e.grad).all()


def test_equals_the_peer() -> None:
    pytest.importorskip("vector_quantize_pytorch")
    from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

    torch.manual_seed(0)
    e, q, g = torch.randn(3, 50, 6)
    e.requires_grad_()
    (found,) = torch.autograd.grad(rotate_through(e, q), e, g)
    (expected,) = torch.autograd.grad(rotate_to(e, q), e, g)
    torch.testing.assert_close(found, expected)


def test_the_quantizer_uses_it() -> None:
    torch.manual_seed(0)
    quantizer = RotationVQ(8, 3, commitment=0.0)
    quantizer(torch.randn(50, 3))
    z, g = torch.randn(20, 3, requires_grad=True), torch.randn(20, 3)
    codes = quantizer.eval()(z).codes
    (found,) = torch.autograd.grad(codes, z, g)
    expected = [rotation_matrix(a, b).t() @ c for a, b, c in zip(z.detach(), codes.detach(), g, strict=True)]
    torch.testing.assert_close(found, torch.stack(expected))
