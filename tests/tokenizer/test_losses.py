"""The loss terms against their formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantized
from motionlab.tokenizer.losses import LossWeights, tokenizer_losses
from motionlab.tokenizer.model import TokenizerOutput


def output(reconstruction: torch.Tensor, loss: float = 0.0) -> TokenizerOutput:
    empty = torch.zeros(0)
    return TokenizerOutput(reconstruction, Quantized(empty, empty.long(), torch.tensor(loss)))


@pytest.mark.parametrize(("name", "block"), [("published", slice(8, 74)), ("true", slice(74, 140))])
def test_total_is_its_formula(name: str, block: slice) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 9, 272, requires_grad=True), torch.randn(2, 9, 272) * 3
    weights = LossWeights(velocity=0.5, velocity_loss=name, root=0.25)
    losses = tokenizer_losses(output(a, 0.125), b, weights)
    expected = (
        F.smooth_l1_loss(a, b)
        + 0.5 * F.smooth_l1_loss(a[..., block], b[..., block])
        + 0.25 * F.smooth_l1_loss(a[..., :8], b[..., :8])
        + 0.125
    )
    torch.testing.assert_close(losses["total"], expected)
    (found,) = torch.autograd.grad(losses["total"], a, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(expected, a)[0])
    assert set(losses) == {"total", "reconstruction", "velocity", "root", "quantizer"}


@pytest.mark.parametrize("name", ["published", "true"])
def test_which_block_the_velocity_loss_sees(name: str) -> None:
    block = {"published": slice(8, 74), "true": slice(74, 140)}[name]
    target = torch.zeros(1, 4, 272)
    inside, outside = target.clone(), torch.ones_like(target)
    inside[..., block], outside[..., block] = 1.0, 0.0
    weights = LossWeights(velocity_loss=name)
    assert float(tokenizer_losses(output(inside), target, weights)["velocity"]) == 0.5  # smooth L1 of 1
    assert float(tokenizer_losses(output(outside), target, weights)["velocity"]) == 0.0


def test_weight_zero_leaves_the_term_out() -> None:
    a, b = torch.randn(1, 5, 272), torch.randn(1, 5, 272)
    losses = tokenizer_losses(output(a), b, LossWeights(velocity=0.0))
    assert losses["total"] == losses["reconstruction"]


def test_padding_does_not_count() -> None:
    a, b = torch.randn(2, 8, 272), torch.randn(2, 8, 272)
    mask = torch.arange(8) < torch.tensor([[8], [3]])
    a[~mask], b[~mask] = float("nan"), 1e9
    losses = tokenizer_losses(output(a), b, LossWeights(), mask)
    real_a, real_b = a[mask], b[mask]
    torch.testing.assert_close(losses["reconstruction"], F.smooth_l1_loss(real_a, real_b))
    torch.testing.assert_close(losses["velocity"], F.smooth_l1_loss(real_a[:, 74:140], real_b[:, 74:140]))


def test_half_precision_is_summed_in_float32() -> None:
    a = torch.full((4, 64, 272), 0.1, dtype=torch.bfloat16)
    losses = tokenizer_losses(output(a), torch.zeros(4, 64, 272), LossWeights())
    assert losses["total"].dtype == torch.float32


def test_unknown_velocity_loss() -> None:
    with pytest.raises(InputError, match="found 'wrong', expected true or published"):
        LossWeights(velocity_loss="wrong")
