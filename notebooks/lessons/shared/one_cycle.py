"""Torch's OneCycleLR for any number of steps.

It divides by zero when the warm-up is one step exactly (10 steps with a tenth of them). Nothing else changes, so
the numbers that lessons keep stay what they are.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from motionlab.errors import InputError


def one_cycle(optimizer: Optimizer, peak: float, steps: int, warmup_share: float = 0.3) -> OneCycleLR:
    """A rate that rises to `peak` over a share of the steps, and falls to nearly nothing over the rest.

    Raises:
        InputError: no steps.
    """
    if steps < 1:
        raise InputError("steps", found=steps, expected="1 or more", fix="Train for a few steps.")
    if warmup_share * steps == 1.0:  # torch divides by warmup_share * steps - 1
        warmup_share = math.nextafter(warmup_share, 1.0)
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, pct_start=warmup_share)
