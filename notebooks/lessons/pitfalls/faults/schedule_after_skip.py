"""The schedule advances after steps that the loss scale skipped: the warm-up is over before the training begins."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.precision import make_precision

Step = Callable[[torch.optim.Optimizer], bool]  # one step; True when the schedule moves on


def broken() -> Step:
    """step, update, and the schedule's step after it, as most loops have it."""
    scaler = make_precision("cpu", "fp16").scaler

    def step(optimizer: torch.optim.Optimizer) -> bool:
        scaler.scale(torch.zeros(()))  # makes the scaler ready
        scaler.step(optimizer)
        scaler.update()
        return True

    return step


def fixed() -> Step:
    """Only a step that was taken counts."""
    precision = make_precision("cpu", "fp16")

    def step(optimizer: torch.optim.Optimizer) -> bool:
        precision.scaler.scale(torch.zeros(()))
        return precision.step(optimizer)

    return step


WARMUP, SKIPPED = 10, 8  # the scale starts high and is halved until the gradients fit


def _run(make: Callable[[], Step], steps: int = 20) -> list[float]:
    """The share of the peak rate that each step that moved the weights used."""
    weight = nn.Parameter(torch.ones(1))
    optimizer, step, scheduled, rates = torch.optim.SGD([weight], lr=1.0), make(), 0, []
    for number in range(steps):
        weight.grad = torch.full((1,), float("inf") if number < SKIPPED else 1.0)
        rate = min(1.0, (scheduled + 1) / WARMUP)
        before = weight.detach().clone()
        scheduled += step(optimizer)
        if not torch.equal(before, weight.detach()):
            rates.append(rate)
    return rates


def symptom(make: Callable[[], Step]) -> Seen:
    rates = _run(make)
    return Seen(100 * rates[0], rates)


def test(make: Callable[[], Step]) -> None:
    assert _run(make)[0] == 1 / WARMUP, "the first real step is not the first of the warm-up"


PITFALL = Pitfall(
    name="schedule_after_skip",
    title="the schedule counts skipped steps",
    topic="precision",
    seen="pytorch #67590; pytorch-lightning #21339; transformers #11144",
    lesson="09",
    fix="advance only if scaler.get_scale() did not fall",
    measure="rate of the first real step, % of the peak",
    height="share of the peak rate",
    axis="step that moved the weights",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=50.0,
)
