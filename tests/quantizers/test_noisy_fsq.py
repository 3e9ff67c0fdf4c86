"""Noise in place of rounding."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.noisy_fsq import NoisyFSQ


def transparent(noise: float) -> NoisyFSQ:
    quantizer = NoisyFSQ((8, 5), 2, noise=noise)
    with torch.no_grad():
        for layer in (quantizer.project_in, quantizer.project_out):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    return quantizer


def test_noise_is_one_step_wide_and_hits_its_share_of_the_tokens() -> None:
    torch.manual_seed(0)
    quantizer, z = transparent(0.25), torch.randn(4000, 2)
    steps = quantizer(z).codes.detach() * (quantizer.levels // 2)
    noisy = (steps != steps.round()).all(1)
    assert torch.equal(noisy, (steps != steps.round()).any(1))  # all dimensions of a token or none
    assert 0.22 < float(noisy.float().mean()) < 0.28
    noise = (steps - quantizer.bound(z))[noisy]
    assert float(noise.abs().max()) <= 0.5 and abs(float(noise.mean())) < 0.03
    assert float(noise.var()) == pytest.approx(1 / 12, rel=0.1)
    assert torch.equal(steps[~noisy], quantizer.bound(z).round()[~noisy])


def test_gradient_is_that_of_the_bound_with_and_without_noise() -> None:
    quantizer = transparent(0.5)
    a, b = torch.randn(50, 2).requires_grad_(), torch.zeros(50, 2).requires_grad_()
    with torch.no_grad():
        b.copy_(a)
    quantizer(a).codes.sum().backward()
    (quantizer.bound(b) / (quantizer.levels // 2)).sum().backward()
    assert a.grad is not None and b.grad is not None
    torch.testing.assert_close(a.grad, b.grad)


def test_eval_is_plain_fsq_and_indices_never_change() -> None:
    torch.manual_seed(0)
    noisy, plain = NoisyFSQ((8, 5, 5), 6), FSQ((8, 5, 5), 6)
    plain.load_state_dict(noisy.state_dict())
    z = torch.randn(100, 6)
    assert torch.equal(noisy(z).indices, plain(z).indices) and not torch.equal(noisy(z).codes, plain(z).codes)
    assert torch.equal(noisy.eval()(z).codes, plain(z).codes)


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_impossible_shares(noise: float) -> None:
    with pytest.raises(InputError, match="noise: found"):
        NoisyFSQ((8, 5), 2, noise=noise)
