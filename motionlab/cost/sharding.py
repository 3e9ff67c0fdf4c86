"""Bytes that each of several GPUs holds in training, and bytes that they send each other, by formula.

With P parameters and R GPUs (Rajbhandari et al. 2020, "ZeRO", arXiv 1910.02054, figure 1; w, g, o are the bytes that a
parameter needs as weight, as gradient, and in the optimizer):

    ddp      (w + g + o) P                 everything everywhere
    zero1    (w + g) P + o P / R           optimizer state in parts
    zero2    w P + (g + o) P / R           gradients too
    zero3    (w + g + o) P / R + w U       weights too; U parameters, those of the unit in use, are whole. FSDP is this.

Activations come on top, are the same in all four, and depend on the batch of one GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from motionlab.cost.parameters import MemoryEstimate
from motionlab.errors import InputError

STAGES = ("ddp", "zero1", "zero2", "zero3")


@dataclass(frozen=True)
class Numbers:
    """Bytes of a parameter as weight, as gradient and in AdamW."""

    weight: int
    gradient: int
    optimizer: int

    @property
    def total(self) -> int:
        """Bytes per parameter, when nothing is in parts."""
        return self.weight + self.gradient + self.optimizer


NUMBERS = {
    "fp32": Numbers(4, 4, 8),  # also under autocast: weights, gradients and both moments stay float32
    "bf16 + fp32 copy": Numbers(2, 2, 12),  # DeepSpeed: the optimizer also holds a float32 copy of the weights
    "pure bf16": Numbers(2, 2, 4),  # half of it, at a price that lesson 09 shows
}


def bytes_a_gpu(
    parameters: int, gpus: int, stage: str = "ddp", numbers: str = "fp32", *, unit: int = 0
) -> MemoryEstimate:
    """Bytes of weights, gradients and optimizer state in one GPU.

    Args:
        unit: parameters that FSDP gathers at a time, such as those of one block; counts for "zero3" only.

    Raises:
        InputError: an unknown stage or kind of numbers, or no GPU.

    >>> for stage in STAGES:
    ...     print(stage, bytes_a_gpu(7_500_000_000, 64, stage, "bf16 + fp32 copy").total / 1e9)
    ddp 120.0
    zero1 31.40625
    zero2 16.640625
    zero3 1.875
    """
    for name, value, known in (("stage", stage, STAGES), ("numbers", numbers, tuple(NUMBERS))):
        if value not in known:
            raise InputError(name, found=repr(value), expected=" or ".join(known), fix="Choose one of these.")
    if gpus < 1:
        raise InputError("gpus", found=gpus, expected="1 or more", fix="Change this number.")
    kind, level = NUMBERS[numbers], STAGES.index(stage)

    def share(size: int, from_level: int) -> int:
        return -(-size * parameters // (gpus if level >= from_level else 1))

    gathered = kind.weight * min(unit, parameters) if level == 3 and gpus > 1 else 0
    return MemoryEstimate(
        weights=share(kind.weight, 3) + gathered, gradients=share(kind.gradient, 2), optimizer=share(kind.optimizer, 1)
    )


def bytes_sent(parameters: int, gpus: int, stage: str = "ddp", number_bytes: int = 4) -> int:
    """Bytes that one GPU sends in a step with one micro-batch.

    A ring sums a gradient over R GPUs in two rounds, each of (R - 1) / R of it: a reduce-scatter and an all-gather.
    ZeRO 1 and 2 split the same two rounds (gradients one way, new weights the other). ZeRO 3 gathers the weights
    twice, for the forward and for the backward pass: half as much again.

    >>> [bytes_sent(1000, 2, stage) for stage in STAGES], bytes_sent(1000, 1)
    ([4000, 4000, 4000, 6000], 0)
    """
    rounds = 3 if stage == "zero3" else 2
    return rounds * number_bytes * parameters * (gpus - 1) // gpus
