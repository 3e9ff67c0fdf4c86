"""The codebook that is learned by gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.quantizers.vq import VQ
from motionlab.training.optimizer import parameter_groups


def test_the_loss_is_equation_3() -> None:
    torch.manual_seed(0)
    quantizer = VQ(16, 4, commitment=0.25)
    quantizer(torch.randn(50, 4))
    z = torch.randn(30, 4, requires_grad=True)
    nearest = quantizer.codebook[torch.cdist(z, quantizer.codebook).argmin(1)]  # [30, 4]
    expected = F.mse_loss(z.detach(), nearest) + 0.25 * F.mse_loss(z, nearest.detach())
    wanted = torch.autograd.grad(expected, [z, quantizer.embedding.weight])
    loss = quantizer(z).loss
    torch.testing.assert_close(loss, expected)
    for found, gradient in zip(torch.autograd.grad(loss, [z, quantizer.embedding.weight]), wanted, strict=True):
        torch.testing.assert_close(found, gradient)


def test_the_decoder_does_not_move_the_codes() -> None:
    quantizer, z = VQ(16, 4), torch.randn(30, 4, requires_grad=True)
    quantizer(z).codes.sum().backward()
    assert quantizer.embedding.weight.grad is None
    assert z.grad is not None and torch.equal(z.grad, torch.ones_like(z))


def test_training_moves_the_codes_to_their_clumps() -> None:
    torch.manual_seed(0)
    centres = torch.randn(8, 2) * 4
    quantizer = VQ(8, 2, start="random")
    with torch.no_grad():
        quantizer.embedding.weight.copy_(centres + 0.7)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.05)
    for _ in range(100):
        loss = quantizer(centres[torch.randint(8, (200,))] + 0.05 * torch.randn(200, 2)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(torch.cdist(centres, quantizer.codebook.detach()).amin(1).max()) < 0.2


def test_published_start_and_collapse() -> None:
    torch.manual_seed(0)
    quantizer = VQ(64, 2, start="random")
    assert float(quantizer.codebook.detach().abs().max()) <= 1 / 64
    z = torch.randn(500, 2) + 6  # far from where all codes are
    assert len(quantizer(z).indices.unique()) < 10
    started = VQ(64, 2, start="batch")
    started(z)
    assert len(started(z).indices.unique()) > 50


def test_weight_decay_spares_the_codes() -> None:
    """A code without hits would fade to 0."""
    groups = {group["name"]: group for group in parameter_groups(VQ(8, 2), 0.1)}
    assert set(groups) == {"no_decay"}


@pytest.mark.parametrize("training", [True, False])
def test_only_a_training_batch_begins_the_codebook(training: bool) -> None:
    quantizer = VQ(8, 2).train(training)
    before = quantizer.codebook.detach().clone()
    quantizer(torch.randn(50, 2))
    assert torch.equal(quantizer.codebook.detach(), before) != training
    assert bool(quantizer.initialised) == training
