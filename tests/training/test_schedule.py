import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.training.schedule import lr_factor, make_schedule


def optimizer(lr: float = 1.0) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(steps: int, warmup: int, floor: float, start: int = 0, lr: float = 1.0) -> list[float]:
    sgd = optimizer(lr)
    schedule = make_schedule(sgd, steps=steps, warmup_steps=warmup, min_lr_ratio=floor, start=start)
    result = []
    for _ in range(start, steps):
        result.append(float(schedule.get_last_lr()[0]))
        sgd.step()
        schedule.step()
    return result


def test_golden_values() -> None:
    # Worked out by hand for W = 4, T = 12, floor 0.1: cos(pi k/8) = 1, .92388, .70711, .38268, 0, ...
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.965746, 0.868198, 0.722208, 0.55, 0.377792, 0.231802, 0.134254]
    assert rates(12, 4, 0.1) == pytest.approx(expected, abs=1e-6)


def test_first_step_is_not_zero_and_end_is_the_floor() -> None:
    assert lr_factor(0, steps=1000, warmup_steps=100) == 0.01
    assert lr_factor(1000, steps=1000, warmup_steps=100, min_lr_ratio=0.05) == pytest.approx(0.05)


def test_does_not_rise_after_the_end() -> None:
    assert [lr_factor(s, steps=10, warmup_steps=2) for s in (10, 15, 1000)] == [0.0, 0.0, 0.0]


def test_no_warmup_starts_at_the_peak() -> None:
    assert rates(4, 0, 0.0) == pytest.approx([0.5 * (1 + math.cos(math.pi * s / 4)) for s in range(4)])


@pytest.mark.parametrize("start", [1, 3, 4, 5, 11])
def test_resumed_schedule_continues_exactly(start: int) -> None:
    assert rates(12, 4, 0.1, start=start, lr=3e-4) == rates(12, 4, 0.1, lr=3e-4)[start:]


@pytest.mark.parametrize("warmup", [-1, 10, 11])
def test_warmup_must_be_shorter_than_the_run(warmup: int) -> None:
    with pytest.raises(InputError, match="warmup_steps: found .*less than steps"):
        make_schedule(optimizer(), steps=10, warmup_steps=warmup)
