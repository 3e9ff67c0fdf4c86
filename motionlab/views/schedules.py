"""A learning rate as intended, and as it comes out when something other than optimizer steps is counted.

The rules are those of `motionlab.training.schedule`; here are only the ways to count wrongly, and two schedules as they
are in published training scripts. Everything is a pure function of the step.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from motionlab.errors import InputError
from motionlab.plots.schedules import Comparison
from motionlab.training.schedule import SHAPES, lr_factor

COUNTS = ("optimizer steps", "micro-batches", "every process", "total in micro-batches")
BARE = "bare cosine"
ALL_SHAPES = (*SHAPES, BARE)
MOST_POINTS = 600


def bare_cosine(step: float, *, steps: int, warmup_steps: int) -> float:
    """Warm-up and cosine as an unbounded formula gives them: the rate is 0 first, and rises at last.

    >>> [round(bare_cosine(s, steps=10, warmup_steps=2), 3) for s in (0, 1, 2, 10, 14, 18)]
    [0.0, 0.5, 1.0, 0.0, 0.5, 1.0]
    """
    if step < warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def compare_schedules(
    shape: str = "cosine",
    *,
    steps: int = 1000,
    warmup_steps: int = 50,
    min_lr_ratio: float = 0.0,
    accumulation: int = 1,
    processes: int = 1,
    counted: str = COUNTS[0],
    **more: Any,
) -> Comparison:
    """The schedule over `steps` optimizer steps, right, and counted in some other way.

    Args:
        shape: one of the package's, or "bare cosine".
        counted: "optimizer steps" (right); "micro-batches": advanced after each of them; "every process": advanced
            once for each process at every step; "total in micro-batches": advanced rightly, but the total was taken
            from the length of the data loader.
        more: `milestones`, `lr_gamma` and `decay_ratio` of the package's schedule.

    Raises:
        InputError: an unknown name, or a warm-up as long as the run.

    >>> wrong = compare_schedules(steps=100, warmup_steps=0, accumulation=8, counted="total in micro-batches")
    >>> round(wrong.meant[-1], 3), round(wrong.real[-1], 2)
    (0.0, 0.96)
    """
    for name, value, known in (("schedule", shape, ALL_SHAPES), ("counted", counted, COUNTS)):
        if value not in known:
            raise InputError(name, found=repr(value), expected=", ".join(known), fix="Choose one of these.")
    if steps < 1:
        raise InputError("steps", found=steps, expected="1 or more", fix="Plan a few steps.")
    if not 0 <= warmup_steps < steps:
        raise InputError(
            "warmup_steps", found=warmup_steps, expected=f"0 to {steps - 1} (less than steps)", fix="Shorten it."
        )
    total = steps * accumulation if counted == COUNTS[3] else steps
    speed = {COUNTS[1]: accumulation, COUNTS[2]: processes}.get(counted, 1)
    meant, real = (_rule(shape, n, warmup_steps, min_lr_ratio, more) for n in (steps, total))
    chosen = _points(steps)
    rates = tuple(real(step * speed) for step in chosen)
    return Comparison(f"{shape}, counted in {counted}", chosen, tuple(map(meant, chosen)), rates)


def _rule(shape: str, steps: int, warmup: int, floor: float, more: dict[str, Any]) -> Callable[[int], float]:
    if shape == BARE:
        return functools.partial(bare_cosine, steps=steps, warmup_steps=warmup)
    return functools.partial(
        lr_factor, steps=steps, warmup_steps=warmup, min_lr_ratio=floor, schedule=shape, **more
    )  # fmt: skip


def _points(steps: int) -> tuple[int, ...]:
    count = min(steps, MOST_POINTS)
    return tuple(sorted({round(i * (steps - 1) / max(1, count - 1)) for i in range(count)}))


def usual_milestones(steps: int) -> tuple[int, int]:
    """Half and three quarters of a run: where "multi_step" falls by default."""
    return steps // 2, 3 * steps // 4


def published_decoder(steps: int = 240_000) -> Comparison:
    """Stage 2 of MotionMillion: 12,000 steps of warm-up from 0, then a cosine of nine tenths of the TOTAL.

    12,000 + 216,000 is not 240,000: the rate is 0 at step 228,000 and rises again. "Meant" is taken to be the same
    warm-up with a cosine that ends with the run. Read in the training script, not run by us.
    """
    warmup, chosen = 12_000, _points(steps)
    real = [bare_cosine(s, steps=warmup + steps - steps // 10, warmup_steps=warmup) for s in chosen]
    meant = [lr_factor(s, steps=steps, warmup_steps=warmup) for s in chosen]
    return Comparison("published decoder", chosen, tuple(meant), tuple(real))


def published_tokenizer(steps: int = 6_000_000, processes: int = 4) -> Comparison:
    """Stage 1 of MotionMillion: the rate is multiplied by 0.05 at step 300,000; but each of four processes counts.

    The schedule is handed to a library that advances it once for every process, so the milestone comes at 75,000.
    The warm-up of 48,000 steps is a separate loop before it and is not drawn. Read in the source, not run by us.
    """
    one = compare_schedules(
        "multi_step", steps=steps, warmup_steps=0, processes=processes, counted=COUNTS[2], milestones=(300_000,),
        lr_gamma=0.05,
    )  # fmt: skip
    return replace(one, name=f"published tokenizer, {processes} processes")
