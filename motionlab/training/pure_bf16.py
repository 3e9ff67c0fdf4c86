"""Weights in bf16: half the memory, and updates that are lost.

bf16 keeps 8 significant bits. Between 1 and 2 its numbers are 2**-7 apart, just below 1 they are 2**-8 apart, and
a sum is rounded to the nearest: starting at 1, an update smaller than 2**-9 downward (2**-8 upward) changes nothing, at
whatever step. AdamW's updates are about as large as the learning rate, so with 4e-4 the scale of a norm layer, which
starts at 1, never moves. Weights near 0.02 fare better: their neighbours are 2**-13 (1.2e-4) apart.
Autocast keeps the weights in float32 and rounds copies of them; nothing is lost there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

HALF_STEP = 2**-9  # half the distance from 1 to the next smaller bf16 number


def to_bf16(model: nn.Module) -> list[nn.Parameter]:
    """Round the float32 parameters of `model` in place; return its norm scales, which are still exactly 1.

    Buffers, such as the counts of a codebook, stay as they are: they are statistics and not weights.
    """
    scales = [
        parameter
        for parameter in model.parameters()
        if parameter.ndim == 1 and parameter.requires_grad and bool((parameter == 1).all())
    ]
    for parameter in model.parameters():
        if parameter.dtype == torch.float32:
            parameter.data = parameter.data.bfloat16()
    return scales


def warning(scales: Sequence[nn.Parameter], lr: float) -> str:
    """The forecast for a run with this learning rate.

    >>> print(warning([nn.Parameter(torch.ones(8))], lr=1e-3))
    precision bf16_pure: at 1.0 an update below 0.00195 is rounded away, and AdamW's are about lr = 0.001; all 8 norm
    scales can be stuck. Precision bf16 keeps the weights in float32.
    """
    number = sum(scale.numel() for scale in scales)
    expected = (
        f"all {number} norm scales can be stuck" if lr < HALF_STEP else f"{number} norm scales lose small updates"
    )
    return (
        f"precision bf16_pure: at 1.0 an update below {HALF_STEP:.3g} is rounded away, and AdamW's are about lr = "
        f"{lr:g}; {expected}. Precision bf16 keeps the weights in float32."
    )


def evidence(scales: Sequence[nn.Parameter], steps: int) -> str:
    """How many norm scales still are exactly what they were before the first step.

    >>> print(evidence([nn.Parameter(torch.tensor([1.0, 0.99]))], steps=50))
    precision bf16_pure: after 50 steps 1 of 2 norm scales are exactly 1, as before the first step.
    """
    number, unmoved = sum(scale.numel() for scale in scales), sum(int((scale == 1).sum()) for scale in scales)
    return (
        f"precision bf16_pure: after {steps} steps {unmoved} of {number} norm scales are exactly 1, as before the "
        "first step."
    )
