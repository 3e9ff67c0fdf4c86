"""The life of a scale, against torch's own GradScaler."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.plots.loss_scale import Gradients
from motionlab.views.loss_scale import live, load_gradients, lost_at, simulate_gradients


def _with_ceilings(ceilings: list[float]) -> Gradients:
    return Gradients("test", (0, 10), tuple(ceilings), ((0.5, 0.0),) * len(ceilings))


@settings(deadline=None, max_examples=30)
@given(
    ceilings=st.lists(st.integers(2, 20).map(lambda n: n + 0.5), min_size=1, max_size=30),
    interval=st.integers(1, 5),
    start=st.integers(0, 20),
)
def test_it_lives_as_torchs_scaler_does(ceilings: list[float], interval: int, start: int) -> None:
    life = live(_with_ceilings(ceilings), init_scale=2.0**start, growth_interval=interval)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**start, growth_interval=interval)
    scales, skipped = [], []
    for ceiling in ceilings:
        scales.append(math.log2(scaler.get_scale()))
        before = weight.item()
        scaler.scale((weight * 1.0).sum()).backward()
        if scales[-1] > ceiling:
            weight.grad = torch.full((1,), math.inf)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        skipped.append(weight.item() == before)
    assert (life.log2_scale, life.skipped) == (tuple(scales), tuple(skipped))


def test_the_measured_ceilings_predict_what_the_real_scaler_did() -> None:
    path = Path(__file__).resolve().parents[2] / "notebooks" / "results" / "mixed_precision.json"
    scaler = json.loads(path.read_text(encoding="utf-8"))["scaler"]
    life = live(load_gradients(path), growth_interval=scaler["growth_interval"])
    assert list(life.log2_scale) == scaler["log2_scale"] and any(life.skipped) and life.grown > 1


def test_lost_numbers_between_two_tried_scales() -> None:
    gradients = _with_ceilings([20.0])
    assert [lost_at(gradients, 0, e) for e in (-5, 0, 5, 10, 30)] == [0.5, 0.5, 0.25, 0.0, 0.0]


def test_simulated_gradients_tell_their_stories() -> None:
    calm, shrinking, bursts = (simulate_gradients(kind) for kind in ("calm", "shrinking", "bursts"))
    assert len(set(calm.ceiling)) == 1
    assert shrinking.ceiling[-1] == pytest.approx(shrinking.ceiling[0] + 12)
    assert lost_at(shrinking, 119, 0) > 2 * lost_at(shrinking, 0, 0) > 0
    assert sum(c < calm.ceiling[0] for c in bursts.ceiling) == 4
    with pytest.raises(InputError, match="calm or shrinking or bursts"):
        simulate_gradients("wild")


def test_factors_that_cannot_work() -> None:
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"growth_interval": 0}, {"init_scale": 0.0}):
        with pytest.raises(InputError, match="growth > 1"):
            live(_with_ceilings([1.0]), **wrong)
