"""Lesson 15: what it measures is what it says, and its checks name the mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lessons.scaling import exercises as lesson15_exercises
from lessons.scaling import experiment as lesson15
from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.cost.roofline import DATA_SHEETS, Machine
from motionlab.training.distributed import World

MUTANTS: dict[str, dict[str, tuple[Callable[..., Any], str]]] = {
    "scaling.intensity": {
        "no additions": (lambda m, k, n, b: m * k * n / b / (m * k + k * n + m * n), "each product is also added"),
        "a number, not a byte": (lambda m, k, n, b: 2 * m * k * n / (m * k + k * n + m * n), "operations a NUMBER"),
        "no result": (lambda m, k, n, b: 2 * m * k * n / (b * (m * k + k * n)), "has to be written"),
        "turned round": (lambda m, k, n, b: 1 / lesson15_exercises.intensity(m, k, n, b), "turn it round"),
        "always fp32": (lambda m, k, n, b: lesson15_exercises.intensity(m, k, n, 4), "twice the intensity"),
        "a wrong number": (lambda m, k, n, b: 1.0, "should give"),
        "nothing": (lambda m, k, n, b: None, "one number"),
    },
    "scaling.loss_factors": {
        "mean of means": (lambda labels: [1.0] * len(labels), "mean of means"),
        "shares": (lambda labels: [n / sum(labels) for n in labels], "DDP DIVIDES"),
        "turned round": (lambda labels: [sum(labels) / (len(labels) * n) for n in labels], "turned round"),
        "counts": (list, "nothing divides"),
        "three processes": (lambda labels: [3 * n / sum(labels) for n in labels], "every factor is 1"),
        "one number": (lambda labels: 1.0, "one factor per process"),
        "a wrong number": (lambda labels: [2.0] * len(labels), "should give"),
    },
    "scaling.zero_bytes": {
        "always in parts": (lambda p, g, s: 16 * p / g, "every GPU holds everything"),
        "one moment": (lambda p, g, s: 12 * p, "TWO moments"),
        "two bytes": (lambda p, g, s: 10 * p, "16,000 bytes"),
        "weights first": (lambda p, g, s: 16 * p - (4 * p * (g - 1) / g if s else 0), "splits the optimizer's moments"),
        "all from stage 1": (lambda p, g, s: 16 * p / (g if s else 1), "only the optimizer's moments"),
        "no stage 1": (lambda p, g, s: 16 * p, "9,000 bytes"),
        "no stage 2": (lambda p, g, s: 8 * p + 8 * p / (g if s else 1), "5,500 bytes"),
        "no stage 3": (lambda p, g, s: lesson15_exercises.zero_bytes(p, g, min(s, 2)), "2,000 bytes"),
        "nothing": (lambda p, g, s: None, "one number"),
    },
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_torch_counts_what_the_formula_says() -> None:
    for batch in (2, 5):
        counted, formula = lesson15.count_flops(sequence_batches(batch)(0))
        assert counted == pytest.approx(formula, rel=0.01)


def test_the_bill_follows_the_work() -> None:
    machine = DATA_SHEETS["A100 80 GB"]["bf16"]
    small, large = (lesson15.published_cost(size, machine, 0.4) for size in ("111M", "3B"))
    tokens = 240_000 * 640 * 301
    assert 6 * 2.7e9 * tokens < large.flops < 6 * 3.6e9 * tokens and small.flops < large.flops / 15
    assert large.hours == pytest.approx(large.gpu_hours / 40)
    assert lesson15.published_cost("3B", machine, 0.8).gpu_hours == pytest.approx(large.gpu_hours / 2)


def test_one_process_weighs_right_and_wrong() -> None:
    """Alone the right shares are exactly those of the big batch, and the mean of means is not."""
    assert max(lesson15.gradient_errors("global share", groups=2)) < 1e-6
    assert min(lesson15.gradient_errors("mean of means", groups=2)) > 0.01


def test_training_alone_holds_everything() -> None:
    losses, held, seconds = lesson15.train("ddp", steps=3)
    assert len(losses) == 3 and held == sum(p.numel() for p in small_decoder().parameters()) and seconds > 0
    assert World.current().size == 1


def test_operations_lie_where_they_should() -> None:
    torch.set_num_threads(1)
    measured = lesson15.measure_operations(size=64)
    intensities = {name: work.intensity for name, (work, _) in measured.items()}
    assert intensities["x + 1"] == 1 / 8 and intensities["one token x matrix"] == pytest.approx(0.5, rel=1e-3)
    assert intensities["matrix x matrix"] == pytest.approx(2 * 64 / 12) and all(
        speed > 0 for _, speed in measured.values()
    )


def test_difference_of_curves() -> None:
    assert lesson15.largest_difference({"a": [1.0, 2.0]}, {"a": [1.0, 4.0]}) == 0.5
    assert Machine("m", 10.0, 2.0).ridge == 5.0
