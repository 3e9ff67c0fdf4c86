"""Weights in bf16: possible, and the evidence of what they lose."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from motionlab.training.pure_bf16 import HALF_STEP, evidence, to_bf16
from motionlab.training.reporting.hooks import Hook


class Warnings(Hook):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warned(self, text: str) -> None:
        self.texts.append(text)


def test_the_limit_is_what_bf16_does() -> None:
    one = torch.ones(1, dtype=torch.bfloat16)
    assert (one - HALF_STEP).item() == 1 and (one - HALF_STEP * 1.01).item() < 1
    assert (one + 2 * HALF_STEP).item() == 1 and (one + 2 * HALF_STEP * 1.01).item() > 1


def test_only_parameters_are_rounded(toy: Any) -> None:
    model = toy().model
    model.register_buffer("counts", torch.ones(3))
    scales = to_bf16(model)
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}
    assert model.counts.dtype == torch.float32
    assert len(scales) == 1 and scales[0] is model.norm.weight


@pytest.mark.parametrize(("lr", "stuck"), [(5e-4, True), (2e-2, False)])
def test_norm_scales_never_move_at_a_small_rate(
    toy: Any, settings: Any, tmp_path: Path, lr: float, stuck: bool
) -> None:
    a, warnings = toy(dropout=0.0), Warnings()
    a.fit(tmp_path, settings(steps=60, lr=lr, precision="bf16_pure"), hooks=[warnings])
    before, after = warnings.texts
    assert "at 1.0 an update below 0.00195 is rounded away" in before
    assert ("all 8 norm scales can be stuck" in before) == stuck
    unmoved = int((a.model.norm.weight == 1).sum())
    assert (
        after
        == f"precision bf16_pure: after 60 steps {unmoved} of 8 norm scales are exactly 1, as before the first step."
    )
    assert (unmoved == 8) == stuck


def test_autocast_moves_them_at_the_same_rate(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy(dropout=0.0)
    a.fit(tmp_path, settings(steps=60, lr=5e-4, precision="bf16"))
    assert int((a.model.norm.weight == 1).sum()) == 0


def test_the_evidence_counts() -> None:
    assert "after 3 steps 1 of 3 norm scales" in evidence([nn.Parameter(torch.tensor([1.0, 1.5, 0.5]))], 3)


def test_resuming_keeps_the_dtype_and_the_bits(toy: Any, settings: Any, tmp_path: Path) -> None:
    options = settings(precision="bf16_pure", save_every=1)
    whole, first, second = toy(), toy(), toy()
    whole.fit(tmp_path / "whole", options)
    with pytest.raises(ZeroDivisionError):
        first.fit(tmp_path / "run", options, batches=lambda i: first.batches(i) if i < 6 else 1 / 0)
    second.fit(tmp_path / "run", options, resume=True)
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert a.dtype == torch.bfloat16 and torch.equal(a, b)
