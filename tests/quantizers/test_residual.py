"""Several codebooks, each for the rest of the one before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.residual import ResidualFSQ, ResidualVQ
from motionlab.quantizers.vq_ema import VQEMA


def trained_rvq(n_codebooks: int, dim: int = 4) -> ResidualVQ:
    torch.manual_seed(0)
    quantizer = ResidualVQ(16, dim, n_codebooks=n_codebooks, decay=0.8)
    for _ in range(20):
        quantizer(torch.randn(400, dim))
    return quantizer


def test_each_codebook_leaves_less() -> None:
    z, errors = torch.randn(1000, 4), []
    for n_codebooks in (1, 2, 3, 4):
        codes = trained_rvq(n_codebooks).eval()(z).codes
        errors.append(float((z - codes).square().mean().detach()))
    assert all(after < 0.8 * before for before, after in zip(errors, errors[1:], strict=False))


def test_one_codebook_is_plain_vq() -> None:
    torch.manual_seed(0)
    residual, plain = ResidualVQ(16, 4, n_codebooks=1), VQEMA(16, 4)
    plain.load_state_dict(residual.layers[0].state_dict())
    z = torch.randn(100, 4)
    for seed in range(3):
        torch.manual_seed(seed)
        found = residual(z)
        torch.manual_seed(seed)
        expected = plain(z)
        assert torch.equal(found.indices[..., 0], expected.indices)
        torch.testing.assert_close(found.loss, expected.loss)
        torch.testing.assert_close(found.codes, expected.codes)


def test_gradient_is_straight_and_each_commitment_pulls() -> None:
    quantizer = trained_rvq(3).eval()
    z, g = torch.randn(20, 4, requires_grad=True), torch.randn(20, 4)
    codes, indices, loss = quantizer(z)
    (found,) = torch.autograd.grad(codes, z, g, retain_graph=True)
    assert torch.equal(found, g)
    residual, expected = z.detach(), torch.zeros(20, 4)
    for layer, index in zip(quantizer.layers, indices.unbind(-1), strict=True):
        code = layer.codebook[index]  # type: ignore[index]
        residual = residual - code
        expected += 0.02 * 2 * residual / residual.numel()
    torch.testing.assert_close(torch.autograd.grad(loss, z)[0], expected)


def test_equals_the_peer() -> None:
    peer_package = pytest.importorskip("vector_quantize_pytorch")
    own = trained_rvq(3).eval()
    peer = peer_package.ResidualVQ(dim=4, num_quantizers=3, codebook_size=16).eval()
    for mine, theirs in zip(own.layers, peer.layers, strict=True):
        theirs._codebook.embed.copy_(mine.codebook[None])  # type: ignore[index]
    z = torch.randn(2, 50, 4)
    codes, indices, _ = peer(z)
    found = own(z)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.codes, codes)


def transparent(levels: tuple[int, ...], n_codebooks: int) -> ResidualFSQ:
    quantizer = ResidualFSQ(levels, len(levels), n_codebooks=n_codebooks)
    with torch.no_grad():
        for layer in (quantizer.project_in, quantizer.project_out):
            layer.weight.copy_(torch.eye(len(levels)))
            layer.bias.zero_()
    return quantizer


@given(st.lists(st.integers(2, 9), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_digits_after_the_point(levels: list[int], n_codebooks: int, seed: int) -> None:
    torch.manual_seed(seed)
    quantizer = transparent(tuple(levels), n_codebooks).double()
    z = torch.randn(100, len(levels), dtype=torch.float64) * 2
    codes, indices, _ = quantizer(z)
    assert indices.shape == (100, n_codebooks)
    assert ((indices >= 0) & (indices < quantizer.codebook_size)).all()
    torch.testing.assert_close(quantizer.indices_to_codes(indices), codes)
    # The first index is that of FSQ, and the rest is at most half of the finest step.
    plain = FSQ(levels, len(levels)).double()
    plain.load_state_dict(quantizer.state_dict())
    assert torch.equal(plain(z).indices, indices[..., 0])
    left = (quantizer.bound(z) - codes.detach() * (quantizer.levels // 2)).abs()
    slack = 2e-3 * quantizer.levels  # the bound reaches eps beyond the outermost levels
    assert (left <= 0.5 / quantizer.levels ** (n_codebooks - 1) + slack).all()


def test_every_pair_of_indices_comes_back() -> None:
    quantizer = transparent((4, 3), 2).double()
    first, second = torch.cartesian_prod(torch.arange(12), torch.arange(12)).unbind(1)
    indices = torch.stack([first, second], dim=1)
    steps = quantizer.indices_to_implicit(indices) * (quantizer.levels // 2)
    assert len(steps.unique(dim=0)) == 144
    assert torch.equal(quantizer.bounded_to_indices(steps), indices)


def test_no_codebook_at_all() -> None:
    with pytest.raises(InputError, match="n_codebooks: found 0"):
        ResidualVQ(16, 4, n_codebooks=0)
    with pytest.raises(InputError, match="n_codebooks: found 0"):
        ResidualFSQ((5,), 4, n_codebooks=0)
