"""Averaged weights: what they are, what they are used for, and that they change no training."""

from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.training.checkpoints.checkpoint import load_weights, read_checkpoint
from motionlab.training.ema import AveragedWeights


def test_the_recursion_written_out() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    averaged, expected = AveragedWeights(model, 0.9), 1.0
    for step, value in enumerate([2.0, 5.0, -1.0], start=1):
        torch.nn.init.constant_(model.weight, value)
        averaged.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert averaged.averages["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_frozen_weights_and_buffers_are_left_out(toy: Any) -> None:
    model = toy().model
    model.inner.requires_grad_(False)
    assert AveragedWeights(model, 0.9).averages.keys() == {"norm.weight", "norm.bias", "outer.weight", "outer.bias"}


def test_weights_come_back_bit_for_bit_even_after_an_error() -> None:
    model = torch.nn.Linear(3, 3)
    averaged = AveragedWeights(model, 0.5)
    with torch.no_grad():
        model.weight.add_(1)
    before = model.weight.clone()
    with pytest.raises(KeyError), averaged.in_use():
        assert not torch.equal(model.weight, before)
        raise KeyError
    assert torch.equal(model.weight, before)


def test_averaging_changes_no_training_and_is_what_best_holds(toy: Any, settings: Any, tmp_path: Path) -> None:
    plain, with_average = toy(), toy()
    plain.fit(tmp_path / "plain", settings())
    seen: list[float] = []

    def validate() -> dict[str, float]:
        seen.append(float(with_average.model.outer.weight.sum()))
        return {"loss": float(10 - len(seen))}  # every one is better than the one before

    with_average.fit(tmp_path / "ema", settings(ema_decay=0.9), validate=validate)
    for a, b in zip(plain.model.parameters(), with_average.model.parameters(), strict=True):
        assert torch.equal(a, b)
    last, _ = read_checkpoint(tmp_path / "ema" / "checkpoints")
    best, _ = read_checkpoint(tmp_path / "ema" / "checkpoints", "best")
    assert torch.equal(best["model.outer.weight"], last["ema.outer.weight"])
    assert not torch.equal(best["model.outer.weight"], last["model.outer.weight"])
    assert seen[-1] == pytest.approx(float(last["ema.outer.weight"].sum()))
    other = toy()
    load_weights(other.model, tmp_path / "ema" / "checkpoints")
    assert torch.equal(other.model.outer.weight, last["ema.outer.weight"])


def test_resuming_goes_on_with_the_average(toy: Any, settings: Any, tmp_path: Path) -> None:
    options = settings(ema_decay=0.9, save_every=1)
    toy().fit(tmp_path / "whole", options)
    first, second = toy(), toy()
    with pytest.raises(ZeroDivisionError):
        first.fit(tmp_path / "run", options, batches=lambda i: first.batches(i) if i < 6 else 1 / 0)
    second.fit(tmp_path / "run", options, resume=True)
    whole, resumed = (read_checkpoint(tmp_path / name / "checkpoints")[0] for name in ("whole", "run"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole if key.startswith("ema."))


def test_an_average_may_begin_with_a_resume(toy: Any, settings: Any, tmp_path: Path) -> None:
    toy().fit(tmp_path, settings(steps=5))
    start = read_checkpoint(tmp_path / "checkpoints")[0]["model.outer.weight"]
    toy().fit(tmp_path, settings(steps=6, ema_decay=0.999, save_every=1), resume=True)
    end = read_checkpoint(tmp_path / "checkpoints")[0]
    decay = 7 / 16  # (1 + 6) / (10 + 6)
    expected = decay * start + (1 - decay) * end["model.outer.weight"]
    torch.testing.assert_close(end["ema.outer.weight"], expected)
