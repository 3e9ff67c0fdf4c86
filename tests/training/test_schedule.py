import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.training.schedule import SHAPES, lr_factor, make_schedule, plan, scaled_lr, schedule_arguments
from motionlab.views.schedules import compare_schedules


def optimizer(lr: float = 1.0) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(steps: int, warmup: int, floor: float, start: int = 0, lr: float = 1.0, **more: Any) -> list[float]:
    sgd = optimizer(lr)
    schedule = make_schedule(sgd, steps=steps, warmup_steps=warmup, min_lr_ratio=floor, start=start, **more)
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


def test_the_other_shapes_worked_out_by_hand() -> None:
    assert rates(5, 2, 0.3, schedule="constant") == [0.5, 1, 1, 1, 1]
    steps = rates(8, 2, 0.02, schedule="multi_step", milestones=[3, 5, 6], lr_gamma=0.1)
    assert steps == pytest.approx([0.5, 1, 1, 0.1, 0.1, 0.02, 0.02, 0.02])  # 0.01 and 0.001 are below the floor
    assert rates(10, 2, 0.2, schedule="wsd", decay_ratio=0.4) == pytest.approx([0.5, *[1] * 6, 0.8, 0.6, 0.4])
    root = rates(20, 4, 0.0, schedule="inverse_sqrt")
    assert (
        root[3] == 1 and root[15] == pytest.approx(math.sqrt(4 / 16)) and root[19] == pytest.approx(math.sqrt(4 / 20))
    )


def test_wsd_never_eats_into_the_warmup() -> None:
    assert rates(10, 8, 0.0, schedule="wsd", decay_ratio=1.0)[:9] == [*[(s + 1) / 8 for s in range(8)], 1.0]


@given(
    shape=st.sampled_from(SHAPES),
    warmup=st.integers(0, 20),
    more=st.integers(1, 80),
    floor=st.floats(0, 1),
    gamma=st.floats(0.05, 0.9),
    decay=st.floats(0.05, 1),
)
def test_every_shape_rises_then_never_rises_again(
    shape: str, warmup: int, more: int, floor: float, gamma: float, decay: float
) -> None:
    steps = warmup + more
    milestones = [warmup + more // 3 + 1, steps + 1]
    values = [
        lr_factor(
            s, steps=steps, warmup_steps=warmup, min_lr_ratio=floor, schedule=shape, milestones=milestones,
            lr_gamma=gamma, decay_ratio=decay,
        )
        for s in range(steps + 30)
    ]  # fmt: skip
    assert values[:warmup] == [(s + 1) / warmup for s in range(warmup)]
    after = values[warmup:]
    assert max(values) == pytest.approx(1.0)
    assert all(a >= b - 1e-12 for a, b in zip(after, after[1:], strict=False))
    assert min(after) >= floor - 1e-12 and len(set(values[steps:])) == 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("start", [1, 3, 4, 5, 11])
def test_resumed_schedule_continues_exactly(start: int, shape: str) -> None:
    more: dict[str, Any] = {"schedule": shape, "milestones": [6, 9]}
    assert rates(12, 4, 0.1, start=start, lr=3e-4, **more) == rates(12, 4, 0.1, lr=3e-4, **more)[start:]


@pytest.mark.parametrize("warmup", [-1, 10, 11])
def test_warmup_must_be_shorter_than_the_run(warmup: int) -> None:
    with pytest.raises(InputError, match="warmup_steps: found .*less than steps"):
        make_schedule(optimizer(), steps=10, warmup_steps=warmup)


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(InputError, match="schedule: found 'cosin', expected cosine, constant"):
        make_schedule(optimizer(), steps=10, warmup_steps=1, schedule="cosin")


def test_the_plan_is_the_run() -> None:
    settings = TrainConfig(steps=9, warmup_steps=2, lr=0.3, schedule="wsd", decay_ratio=0.5)
    arguments = schedule_arguments(settings)
    steps, planned = plan(0.3, lambda s: lr_factor(s, **arguments), settings.steps)
    assert steps == list(range(9)) and planned == pytest.approx(
        rates(9, 2, 0.0, lr=0.3, schedule="wsd", decay_ratio=0.5)
    )
    few, _ = plan(0.3, lambda s: 1.0, steps=100_000, points=50)
    assert len(few) == 50 and few[0] == 0 and few[-1] == 99_999
    assert plan(0.3, lambda s: 1.0, steps=1) == ([0], [0.3])


def test_scaling_with_the_batch() -> None:
    assert scaled_lr(1e-4, "linear", 256, 64) == (4e-4, "0.0004 = 0.0001 * 256 / 64")
    assert scaled_lr(1e-4, "sqrt", 256, 64)[0] == pytest.approx(2e-4)
    assert scaled_lr(1e-4, "sqrt", 16, 64)[0] == pytest.approx(5e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_scaling": "linear"}, "base_batch: found null"),
        ({"base_batch": 32}, "base_batch: found 32"),
        ({"schedule": "multi_step"}, r"milestones: found \[\]"),
        ({"milestones": [5]}, r"milestones: found \[5\]"),
        ({"schedule": "multi_step", "milestones": [9, 5]}, "rising"),
        ({"schedule": "multi_step", "milestones": [9, 1000]}, r"\[9, 1000\], expected less than steps \(1000\)"),
        ({"decay_ratio": 0.0}, "decay_ratio"),
        ({"min_lr_ratio": 1.5}, "min_lr_ratio"),
    ],
)
def test_settings_that_do_not_belong_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**changes)


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_is_no_question_of_the_warm_up(steps: int) -> None:
    with pytest.raises(InputError, match=rf"^steps: found {steps}, expected 1 or more"):
        make_schedule(torch.optim.SGD([torch.zeros(1)], lr=1.0), steps=steps, warmup_steps=0)
    with pytest.raises(InputError, match=rf"^steps: found {steps}, expected 1 or more"):
        compare_schedules(steps=steps, warmup_steps=0)
