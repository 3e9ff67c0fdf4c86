"""The learning rate over time: a linear warm-up, then one of five shapes, never below a floor.

| name | after the warm-up | from |
|---|---|---|
| cosine | half a cosine, down to the floor | Loshchilov and Hutter, "SGDR" (2017), equation 5, without restarts |
| constant | the peak | |
| multi_step | multiplied by gamma at each milestone | the published tokenizer: once, by 0.05 |
| wsd | the peak, then a straight line down in the last share of the run | Hu et al., "MiniCPM" (2024), section 4 |
| inverse_sqrt | falls with the root of the step | Vaswani et al., "Attention Is All You Need" (2017), equation 3 |

All are counted in optimizer steps. A schedule counted in micro-batches, or advanced after a step that fp16 skipped,
ends too early or too late and nothing in the loss curve says so.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from motionlab.errors import InputError

ARGUMENTS = ("steps", "warmup_steps", "min_lr_ratio", "schedule", "milestones", "lr_gamma", "decay_ratio")
SHAPES = ("cosine", "constant", "multi_step", "wsd", "inverse_sqrt")


def lr_factor(
    step: int,
    *,
    steps: int,
    warmup_steps: int,
    min_lr_ratio: float = 0.0,
    schedule: str = "cosine",
    milestones: Sequence[int] = (),
    lr_gamma: float = 0.1,
    decay_ratio: float = 0.2,
) -> float:
    """The share of the peak learning rate that step number `step` (from 0) uses.

    Warm-up starts at `1 / warmup_steps`, not at 0: a first step with learning rate 0 is a wasted step. After `steps`
    the factor stays where it is; a bare cosine would rise again.

    >>> [round(lr_factor(s, steps=6, warmup_steps=2, min_lr_ratio=0.1), 4) for s in range(8)]
    [0.5, 1.0, 1.0, 0.8682, 0.55, 0.2318, 0.1, 0.1]
    >>> [round(lr_factor(s, steps=8, warmup_steps=2, schedule="wsd", decay_ratio=0.5), 2) for s in range(9)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    step = min(step, steps)
    if schedule == "cosine":
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return min_lr_ratio + (1 - min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "wsd":
        length = max(1, min(round(decay_ratio * steps), steps - warmup_steps))
        left = min(1.0, (steps - step) / length)
        return min_lr_ratio + (1 - min_lr_ratio) * left
    if schedule == "multi_step":
        return max(min_lr_ratio, lr_gamma ** bisect.bisect_right(milestones, step))
    if schedule == "inverse_sqrt":
        return max(min_lr_ratio, math.sqrt(max(1, warmup_steps) / (step + 1)))
    return 1.0


def make_schedule(
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    warmup_steps: int,
    min_lr_ratio: float = 0.0,
    schedule: str = "cosine",
    milestones: Sequence[int] = (),
    lr_gamma: float = 0.1,
    decay_ratio: float = 0.2,
    start: int = 0,
) -> LambdaLR:
    """A `LambdaLR` whose next step is number `start`; call `.step()` only after a real optimizer step.

    The rate is a function of only the step number, so resuming needs no stored scheduler state.

    Raises:
        InputError: an unknown shape, or a warm-up as long as the run, so the peak rate would be followed by nothing.
    """
    if schedule not in SHAPES:
        raise InputError("schedule", found=repr(schedule), expected=", ".join(SHAPES), fix="Choose one of these.")
    if steps < 1:
        raise InputError("steps", found=steps, expected="1 or more", fix="Train for a few steps.")
    if not 0 <= warmup_steps < steps:
        raise InputError(
            "warmup_steps",
            found=warmup_steps,
            expected=f"0 to {steps - 1} (less than steps)",
            fix="Shorten the warm-up.",
        )
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # LambdaLR asks for it whenever it does not start at step 0

    def factor(step: int) -> float:
        return lr_factor(
            step, steps=steps, warmup_steps=warmup_steps, min_lr_ratio=min_lr_ratio, schedule=schedule,
            milestones=milestones, lr_gamma=lr_gamma, decay_ratio=decay_ratio,
        )  # fmt: skip

    return LambdaLR(optimizer, factor, last_epoch=start - 1)


def schedule_arguments(settings: object) -> dict[str, Any]:
    """The fields of a `TrainConfig` that `lr_factor` and `make_schedule` take."""
    return {name: getattr(settings, name) for name in ARGUMENTS}


def plan(lr: float, factor: Callable[[int], float], steps: int, points: int = 400) -> tuple[list[int], list[float]]:
    """Steps and learning rates of a run that has not begun: what `motionlab.jobs.schedule_picture` draws.

    Every step is given when there are few of them; otherwise `points` of them, first and last included.

    >>> plan(0.1, lambda s: 1 / (s + 1), steps=3)
    ([0, 1, 2], [0.1, 0.05, 0.03333333333333333])
    """
    chosen = sorted({round(i * (steps - 1) / max(1, min(points, steps) - 1)) for i in range(min(points, steps))})
    return chosen, [lr * factor(step) for step in chosen]


def scaled_lr(lr: float, scaling: str, batch: int, base_batch: int | None) -> tuple[float, str]:
    """The learning rate for an effective batch that differs from the one it was chosen for, and why in words.

    Linear: Goyal et al., "Accurate, Large Minibatch SGD" (2017), for SGD. Square root: Malladi et al., "On the SDEs and
    Scaling Rules for Adaptive Gradient Algorithms" (2022), for Adam. Both are rules of thumb: a batch that is much
    larger needs its rate tried out.

    >>> scaled_lr(1e-4, "sqrt", batch=64, base_batch=16)
    (0.0002, '0.0002 = 0.0001 * sqrt(64 / 16)')
    >>> scaled_lr(1e-4, "none", batch=64, base_batch=None)
    (0.0001, '0.0001')
    """
    if scaling == "none" or base_batch is None:
        return lr, f"{lr:g}"
    ratio = batch / base_batch
    scaled = lr * (ratio if scaling == "linear" else math.sqrt(ratio))
    rule = f"{batch} / {base_batch}" if scaling == "linear" else f"sqrt({batch} / {base_batch})"
    return scaled, f"{scaled:g} = {lr:g} * {rule}"
