"""The learning rate over time: a linear warm-up, then a cosine down to a floor.

Both are counted in optimizer steps. A schedule counted in micro-batches, or advanced after a step that fp16 skipped,
ends too early or too late and nothing in the loss curve says so. Cosine annealing is from Loshchilov and Hutter,
"SGDR" (2017), equation 5, without restarts.
"""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from motionlab.errors import InputError


def lr_factor(step: int, *, steps: int, warmup_steps: int, min_lr_ratio: float = 0.0) -> float:
    """The share of the peak learning rate that step number `step` (from 0) uses.

    Warm-up starts at `1 / warmup_steps`, not at 0: a first step with learning rate 0 is a wasted step. After `steps`
    the factor stays at the floor; a bare cosine would rise again.

    >>> [round(lr_factor(s, steps=6, warmup_steps=2, min_lr_ratio=0.1), 4) for s in range(8)]
    [0.5, 1.0, 1.0, 0.8682, 0.55, 0.2318, 0.1, 0.1]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return min_lr_ratio + (1 - min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


def make_schedule(
    optimizer: torch.optim.Optimizer, *, steps: int, warmup_steps: int, min_lr_ratio: float = 0.0, start: int = 0
) -> LambdaLR:
    """A `LambdaLR` whose next step is number `start`; call `.step()` only after a real optimizer step.

    The rate is a function of the step number alone, so resuming needs no stored scheduler state.

    Raises:
        InputError: the warm-up is as long as the run, so the peak rate would never be followed by the cosine.
    """
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
        return lr_factor(step, steps=steps, warmup_steps=warmup_steps, min_lr_ratio=min_lr_ratio)

    return LambdaLR(optimizer, factor, last_epoch=start - 1)
