"""The contrastive loss equals its formula, written out; pairs of one meaning are left out, spoiled copies count."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.evaluation.text_motion.losses import contrastive_loss


def plain(text, motion, same, temperature, spoiled) -> float:
    """Sums over the rivals, one pair at a time."""

    def score(a, b) -> float:
        return float(torch.dot(a, b) / a.norm() / b.norm()) / temperature

    total, count = 0.0, len(text)
    for i in range(count):
        rivals = [j for j in range(count) if j == i or not same[i, j]]
        own = score(text[i], motion[i])
        motions = [score(text[i], motion[j]) for j in rivals] + [score(text[i], one) for one in spoiled]
        captions = [score(text[j], motion[i]) for j in range(count) if j == i or not same[j, i]]
        total += sum(math.log(sum(map(math.exp, scores))) - own for scores in (motions, captions)) / 2
    return total / count


@pytest.mark.parametrize("extra", [0, 3])
def test_equals_the_formula(extra: int) -> None:
    torch.manual_seed(0)
    text, motion, spoiled = (torch.randn(n, 6, dtype=torch.float64) for n in (5, 5, extra))
    groups = torch.tensor([0, 1, 0, 2, 1])
    same = groups[:, None] == groups
    found = contrastive_loss(text, motion, same, 0.2, spoiled if extra else None)
    assert float(found) == pytest.approx(plain(text, motion, same, 0.2, spoiled), abs=1e-9)


def test_a_twin_is_no_rival_and_gets_no_gradient() -> None:
    torch.manual_seed(0)
    text, motion = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    loss = contrastive_loss(text, motion, torch.ones(2, 2, dtype=torch.bool), 0.1)
    loss.backward()
    assert loss.item() == 0 and text.grad is not None and float(text.grad.abs().max()) == 0


def test_a_spoiled_copy_pushes_captions_away_from_it() -> None:
    text = torch.tensor([[1.0, 0.0]], requires_grad=True)
    contrastive_loss(text, torch.tensor([[1.0, 0.0]]), torch.eye(1).bool(), 0.1, torch.tensor([[1.0, 1.0]])).backward()
    assert text.grad is not None and float(text.grad[0, 1]) > 0  # a step against the gradient turns it from the copy
