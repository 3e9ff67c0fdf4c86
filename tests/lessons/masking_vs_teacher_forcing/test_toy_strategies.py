"""The toy of lesson 08: its odds are what it says, and training comes near them."""

from __future__ import annotations

import torch

from lessons.masking_vs_teacher_forcing.toy_strategies import (
    LENGTH,
    TEXT,
    measure_toy,
    toy_batch,
    toy_entropy,
    toy_odds,
    train_toy,
)
from motionlab.llama.objectives.strategies import MaskedModelling, RandomReplacement, TeacherForcing
from motionlab.views.strategy_view import CODES


def test_the_toy_follows_its_odds() -> None:
    codes = toy_batch(0, 400).tokens[:, TEXT : TEXT + LENGTH]
    moved = (codes[:, 1:] - codes[:, :-1]) % CODES
    counts = torch.bincount(moved.flatten(), minlength=CODES) / moved.numel()
    assert torch.allclose(counts[:3], torch.tensor([0.1, 0.7, 0.2]), atol=0.02) and counts[3:].sum() == 0
    assert torch.allclose(toy_odds(torch.tensor([11]))[0, [11, 0, 1]], torch.tensor([0.1, 0.7, 0.2]))
    assert 0.8 < toy_entropy() < 0.81


def test_teacher_forcing_learns_the_odds_and_replacement_learns_to_mistrust() -> None:
    forced = measure_toy(train_toy(TeacherForcing(), steps=80))
    replaced = measure_toy(train_toy(RandomReplacement(0.5), steps=80))
    assert 0 <= forced.clean < 0.1 < replaced.clean
    assert replaced.noisy < forced.noisy


def test_a_seed_is_a_training() -> None:
    first, again, other = (
        train_toy(MaskedModelling(), steps=2, seed=seed).lm_head.weight.detach() for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
