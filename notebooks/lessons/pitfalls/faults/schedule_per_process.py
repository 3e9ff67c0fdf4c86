"""A schedule is advanced once for every process: on four GPUs the learning rate falls at a quarter of the way."""

from __future__ import annotations

from collections.abc import Callable

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.schedule import lr_factor

STEPS, MILESTONE, GAMMA = 1_000_000, 300_000, 0.05  # published numbers; the run itself is six times as long


def broken(step: int, processes: int) -> float:
    """The share of the peak rate at an iteration: a prepared scheduler moves on by one for each process."""
    return 1.0 if step * processes < MILESTONE else GAMMA


def fixed(step: int, processes: int) -> float:
    """Counted in optimizer steps, whoever takes part in them."""
    return lr_factor(step, steps=STEPS, warmup_steps=0, schedule="multi_step", milestones=(MILESTONE,), lr_gamma=GAMMA)


def symptom(factor: Callable[..., float]) -> Seen:
    steps = range(0, 400_001, 12_500)
    rates = [factor(step, 4) for step in steps]
    return Seen(next(step for step in range(0, 400_001, 2_500) if factor(step, 4) < 1) / 1000, rates)


def test(factor: Callable[..., float]) -> None:
    for step in (0, 100_000, 299_999, 300_000):
        assert factor(step, 4) == factor(step, 1), f"at iteration {step} four processes have another rate than one"


PITFALL = Pitfall(
    name="schedule_per_process",
    title="the schedule steps once a process",
    topic="training loop",
    seen="MotionMillion-Codes through accelerate (#2926); LTX-Video-Trainer #67",
    lesson="10",
    fix="make the rate a function of the step number",
    measure="iteration at which the rate falls, thousands",
    height="share of the peak rate",
    axis="iteration, thousands, on four processes",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=200.0,
    at=[step / 1000 for step in range(0, 400_001, 12_500)],
)
