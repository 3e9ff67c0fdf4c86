"""Schedules as meant and as they run, against torch's own schedulers stepped wrongly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR

from motionlab.errors import InputError
from motionlab.training.schedule import lr_factor
from motionlab.views.schedules import (
    ALL_SHAPES,
    COUNTS,
    bare_cosine,
    compare_schedules,
    published_decoder,
    published_tokenizer,
)


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


@pytest.mark.parametrize("shape", ALL_SHAPES)
def test_counted_rightly_nothing_differs(shape: str) -> None:
    one = compare_schedules(shape, steps=40, warmup_steps=4, milestones=(20,), accumulation=4, processes=2)
    assert one.real == one.meant and one.steps == tuple(range(40)) and one.worked == 1


def test_stepping_torchs_cosine_at_every_micro_batch() -> None:
    optimizer = _optimizer()
    schedule, found = CosineAnnealingLR(optimizer, T_max=30), []
    for _ in range(30):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for _ in range(3):
            schedule.step()
    one = compare_schedules("bare cosine", steps=30, warmup_steps=0, accumulation=3, counted=COUNTS[1])
    assert one.real == pytest.approx(found, abs=1e-9)
    assert max(one.real[15:]) > 0.9 > 0.5 > one.meant[15] - 0.01  # it rose again, twice
    held = compare_schedules("cosine", steps=30, warmup_steps=0, accumulation=3, counted=COUNTS[1])
    assert set(held.real[10:]) == {0.0}


def test_stepping_torchs_milestones_once_for_every_process() -> None:
    optimizer = _optimizer()
    schedule, found = MultiStepLR(optimizer, milestones=[20], gamma=0.05), []
    for _ in range(40):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for _ in range(4):
            schedule.step()
    one = compare_schedules(
        "multi_step", steps=40, warmup_steps=0, processes=4, counted=COUNTS[2], milestones=(20,), lr_gamma=0.05
    )
    assert one.real == pytest.approx(found) and one.real.index(min(one.real)) == 5


def test_a_total_from_the_loader_stops_early_on_the_arc() -> None:
    one = compare_schedules(steps=1000, warmup_steps=0, accumulation=8, counted=COUNTS[3])
    assert one.real[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi / 8)), abs=1e-3) and one.meant[-1] < 1e-4
    assert one.worked > 1.9


def test_the_published_decoder_ends_on_a_rise() -> None:
    one = published_decoder()
    lowest = one.steps[one.real.index(min(one.real[1:]))]
    assert one.real[0] == 0 and lowest == pytest.approx(228_000, abs=500)
    assert 4e-4 * one.real[-1] == pytest.approx(3.0e-6, rel=0.02)
    assert one.meant[-1] < 1e-6 and one.meant[0] == 1 / 12_000


def test_the_published_tokenizer_falls_at_a_quarter_of_its_milestone() -> None:
    one = published_tokenizer(steps=600_000)
    first = next(step for step, rate in zip(one.steps, one.real, strict=True) if rate < 1)
    assert first == pytest.approx(75_000, abs=2000)
    assert 5e-5 * one.real[-1] == pytest.approx(2.5e-6)
    assert published_tokenizer().worked == pytest.approx((75 + 0.05 * 5925) / (300 + 0.05 * 5700), rel=0.02)


def test_the_bare_cosine_is_the_package_s_within_its_run() -> None:
    rates = [bare_cosine(s, steps=50, warmup_steps=5) for s in range(51)]
    assert rates[5:] == pytest.approx([lr_factor(s, steps=50, warmup_steps=5) for s in range(5, 51)])


def test_wrong_names_are_told() -> None:
    with pytest.raises(InputError, match="bare cosine"):
        compare_schedules("sine")
    with pytest.raises(InputError, match="every process"):
        compare_schedules(counted="epochs")
    with pytest.raises(InputError, match="0 to 9"):
        compare_schedules(steps=10, warmup_steps=10)
