"""Sign quantizers and their entropies against the dense sum over all codes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.bsq import BSQ
from motionlab.quantizers.lfq import LFQ, code_entropies


def transparent(kind: type[LFQ], bits: int, **settings: float) -> LFQ:
    """One whose linear maps do nothing."""
    quantizer = kind(2**bits, bits, **settings)
    with torch.no_grad():
        for layer in (quantizer.project_in, quantizer.project_out):
            layer.weight.copy_(torch.eye(bits))
            layer.bias.zero_()
    return quantizer


def dense_entropies(points: Tensor, codes: Tensor, inv_temperature: float) -> tuple[Tensor, Tensor]:
    """Equation 5 as written: a softmax over all codes for each vector, `[n, K]`."""
    p = (-inv_temperature * (points[:, None] - codes[None]).square().sum(2)).softmax(1)

    def entropy(q: Tensor) -> Tensor:
        return -torch.special.xlogy(q, q).sum(-1)

    return entropy(p).mean(), entropy(p.mean(0))


@pytest.mark.parametrize("kind", [LFQ, BSQ])
@given(st.integers(1, 7), st.integers(1, 30), st.floats(0.05, 3.0), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_loss_equals_the_dense_formula(kind: type[LFQ], bits: int, n: int, temperature: float, seed: int) -> None:
    torch.manual_seed(seed)
    arguments = {"entropy": 0.3, "diversity": 0.7, "commitment": 0.25, "inv_temperature": temperature}
    quantizer = transparent(kind, bits, **arguments).double()
    z = torch.randn(n, bits, dtype=torch.float64)
    points = quantizer._place(z)
    codes = quantizer.indices_to_codes(torch.arange(2**bits)).detach()
    each, together = dense_entropies(points, codes, temperature)
    found = quantizer(z)
    nearest = codes[torch.cdist(points, codes).argmin(1)]
    assert torch.equal(found.codes.detach(), nearest)
    expected = 0.3 * (each - 0.7 * together) + 0.25 * (points - nearest).square().mean()
    torch.testing.assert_close(found.loss.detach(), expected)


def test_gradients_of_the_entropies() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([True, True, False, True, True])
    assert torch.autograd.gradcheck(lambda x: code_entropies(x, mask), logits)


def test_very_sure_vectors_give_finite_gradients() -> None:
    logits = (torch.randn(20, 8) * 1e4).requires_grad_()
    each, together = code_entropies(logits)
    (each - together).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_entropies_of_known_distributions() -> None:
    unsure, sure = torch.zeros(6, 4), torch.full((6, 4), 1e3)
    each, together = code_entropies(unsure)
    assert float(each) == pytest.approx(4 * math.log(2)) and float(together) == pytest.approx(4 * math.log(2))
    assert [float(x) for x in code_entropies(sure)] == pytest.approx([0, 0])
    all_codes = (torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)) * 1e3
    each, together = code_entropies(all_codes)  # each sure of its code, all codes used alike
    assert float(each) == pytest.approx(0) and float(together) == pytest.approx(math.log(16))


def test_no_matrix_of_tokens_times_codes() -> None:
    """65,536 codes and 3,072 tokens: the dense matrix would take 768 MiB."""
    each, together = code_entropies(torch.randn(3072, 16, requires_grad=True))
    (each - together).backward()
    assert 0 < float(each.detach()) < float(together.detach()) < 16 * math.log(2)


@pytest.mark.parametrize(("kind", "size"), [(LFQ, 1.0), (BSQ, 0.5)])
def test_bits_and_indices(kind: type[LFQ], size: float) -> None:
    quantizer = transparent(kind, 4).eval()
    z = torch.tensor([[-3.0, -1.0, 0.0, 2.0], [0.1, -5.0, 4.0, -0.1]])  # exactly 0 counts as minus
    codes, indices, loss = quantizer(z)
    assert indices.tolist() == [0b0001, 0b1010] and float(loss) == 0
    torch.testing.assert_close(codes, size * torch.tensor([[-1.0, -1, -1, 1], [1, -1, 1, -1]]))
    everything = torch.arange(16)
    assert torch.equal(quantizer(quantizer.indices_to_codes(everything)).indices, everything)


@pytest.mark.parametrize("kind", [LFQ, BSQ])
@pytest.mark.parametrize("weights", [(0.0, 0.25), (0.1, 0.0), (0.1, 0.25)])
def test_equals_the_peer(kind: type[LFQ], weights: tuple[float, float]) -> None:
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    entropy, commitment = weights
    own = kind(16, 12, entropy=entropy, commitment=commitment, diversity=0.8, inv_temperature=1.5)
    peer = peer_package.LFQ(
        dim=12,
        codebook_size=16,
        entropy_loss_weight=entropy,
        commitment_loss_weight=commitment,
        diversity_gamma=0.8,
        spherical=kind is BSQ,
    )
    peer.project_in.load_state_dict(own.project_in.state_dict())
    peer.project_out.load_state_dict(own.project_out.state_dict())
    z = torch.randn(3, 40, 12, requires_grad=True)
    found, (codes, indices, loss) = own(z), peer(z, inv_temperature=1.5)
    assert torch.equal(found.indices, indices.long())
    torch.testing.assert_close(found.codes, codes)
    torch.testing.assert_close(found.loss, loss)
    mine = torch.autograd.grad(found.loss + found.codes.square().sum(), [z, *own.parameters()])
    theirs = torch.autograd.grad(loss + codes.square().sum(), [z, *peer.parameters()])
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)  # the peer cuts probabilities off at 1e-5


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_sizes_that_are_no_power_of_two(size: int) -> None:
    with pytest.raises(InputError, match=f"found {size}, expected a power of two"):
        LFQ(size, 8)


def test_codes_of_bsq_are_unit_vectors_and_length_does_not_count() -> None:
    quantizer = transparent(BSQ, 6).eval()
    z = torch.randn(50, 6)
    assert torch.equal(quantizer(z).indices, quantizer(z * 100).indices)
    torch.testing.assert_close(quantizer(z).codes.norm(dim=1), torch.ones(50))
