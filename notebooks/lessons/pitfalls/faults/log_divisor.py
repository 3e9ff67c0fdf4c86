"""The sum of the losses is divided by the length of the loader, though the epoch was left early: a wonderful loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lessons.pitfalls.pitfall import Pitfall, Seen

Log = Callable[[Sequence[float], int, int], float]


def broken(losses: Sequence[float], in_loader: int, max_steps: int) -> float:
    """The mean that is printed at the end of an epoch."""
    total = 0.0
    for step, loss in enumerate(losses):
        if step == max_steps:
            break
        total += loss
    return total / in_loader


def fixed(losses: Sequence[float], in_loader: int, max_steps: int) -> float:
    """The sum is divided by the number of its terms."""
    done = losses[: min(in_loader, max_steps)]
    return sum(done) / len(done)


def symptom(log: Log) -> Seen:
    printed = [log([2.0] * 100, 100, steps) for steps in range(100, 4, -5)]
    return Seen(printed[-5], printed, train=printed[-5])  # 20 of 100 steps


def test(log: Log) -> None:
    assert abs(log([2.0] * 10, 10, 3) - 2.0) < 1e-9, "every step had the loss 2, and something else is printed"


PITFALL = Pitfall(
    name="log_divisor",
    title="a mean divided by what was planned",
    topic="training loop",
    seen="the published code of AtlasVLA",
    lesson="10",
    fix="keep a sum and a count, divide the one by the other",
    measure="loss that is printed (every step has 2)",
    height="loss that is printed",
    axis="steps that were done, of 100 that were planned",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=1.0,
    at=range(100, 4, -5),
)
