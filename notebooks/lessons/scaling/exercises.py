"""Exercises of lesson 15, scaling: references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from motionlab.teaching.exercise import Exercise, as_number, as_numbers, register


# ---- 1. arithmetic intensity -----------------------------------------------------------------------------------------
def intensity(m: int, k: int, n: int, number_bytes: int) -> float:
    """Operations per byte of [m, k] @ [k, n]."""
    return 2 * m * k * n / (number_bytes * (m * k + k * n + m * n))


def _diagnose_intensity(function: Callable[..., Any]) -> str | None:
    value = as_number(function(8, 16, 32, 4))
    if value is None:
        return "the result should be one number."
    flops, numbers = 2 * 8 * 16 * 32, 8 * 16 + 16 * 32 + 8 * 32
    if _near(value, flops / 2 / numbers / 4):
        return "each product is also added: m k n multiplications AND m k n additions."
    if _near(value, flops / numbers):
        return "this is operations a NUMBER. Divide by the bytes: numbers times number_bytes."
    if _near(value, flops / (4 * (8 * 16 + 16 * 32))):
        return "the result has to be written, too: m n more numbers."
    if _near(value, 1 / intensity(8, 16, 32, 4)):
        return "this is bytes per operation: turn it round."
    if not _near(value, intensity(8, 16, 32, 4)):
        return f"[8, 16] @ [16, 32] with 4 bytes per number should give {intensity(8, 16, 32, 4):.4f}, got {value:g}."
    half = as_number(function(8, 16, 32, 2))
    if half is None or not _near(half, 2 * value):
        return "with 2 bytes per number the same product should have twice the intensity."
    return None


# ---- 2. the factor of a process --------------------------------------------------------------------------------------
def loss_factors(labels: Sequence[int]) -> list[float]:
    """The factor of each process's mean loss, so that DDP's average is the mean over all labels."""
    return [n * len(labels) / sum(labels) for n in labels]


def _diagnose_factors(function: Callable[..., Any]) -> str | None:
    labels = [30, 10, 20]
    factors = as_numbers(function(labels))
    if factors is None or len(factors) != 3:
        return "the result should be a list: one factor per process."
    right = loss_factors(labels)
    if _all_near(factors, [1.0] * 3):
        return (
            "with factors of 1 DDP gives the mean of means: a label of the process with 10 counts three times as much."
        )
    if _all_near(factors, [n / 60 for n in labels]):
        return (
            "these add up to 1, but DDP DIVIDES the sum by the number of processes: the gradient is 3 times too small."
        )
    if _all_near(factors, [60 / (3 * n) for n in labels]):
        return "turned round: the process with more labels must get the larger factor."
    if _all_near(factors, [float(n) for n in labels]):
        return "nothing divides by the number of labels: the gradient grows with the batch."
    if not _all_near(factors, right):
        return f"30, 10 and 20 labels should give {[round(x, 3) for x in right]}, got {[round(x, 3) for x in factors]}."
    if not _all_near(as_numbers(function([7, 7])) or [], [1.0, 1.0]):
        return "with equal counts every factor is 1."
    return None


# ---- 3. bytes in a GPU -----------------------------------------------------------------------------------------------
def zero_bytes(parameters: int, gpus: int, stage: int) -> float:
    """Bytes per GPU with AdamW in fp32 under ZeRO: 4 per weight, 4 per gradient, 8 for the moments."""
    weights, gradients, moments = 4 * parameters, 4 * parameters, 8 * parameters
    return (
        weights / (gpus if stage >= 3 else 1)
        + gradients / (gpus if stage >= 2 else 1)
        + moments / (gpus if stage >= 1 else 1)
    )


def _diagnose_zero(function: Callable[..., Any]) -> str | None:
    values = as_numbers([function(1000, 8, stage) for stage in range(4)])
    if values is None:
        return "the result should be one number."
    if _near(values[0], 2000):
        return "stage 0 is DDP: every GPU holds everything."
    if _near(values[0], 8000) or _near(values[0], 12000):
        return "something is missing: a weight (4 bytes), a gradient (4), and TWO moments (4 each) a parameter."
    if not _near(values[0], 16000):
        return f"DDP with 1,000 parameters should need 16,000 bytes, got {values[0]:g}."
    if _near(values[1], 16000 - 4000 * 7 / 8):
        return "stage 1 splits the optimizer's moments (8 bytes per parameter), not the weights or the gradients."
    if _near(values[1], 2000):
        return "stage 1 splits only the optimizer's moments; weights and gradients are whole in every GPU."
    if not _near(values[1], 9000):
        return f"stage 1 of 8 GPUs should need 4,000 + 4,000 + 8,000 / 8 = 9,000 bytes, got {values[1]:g}."
    if not _near(values[2], 5500):
        return f"stage 2 also splits the gradients: 5,500 bytes, got {values[2]:g}."
    if not _near(values[3], 2000):
        return f"stage 3 splits the weights, too: 2,000 bytes, got {values[3]:g}."
    return None


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)


def _all_near(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(_near(x, y) for x, y in zip(a, b, strict=True))


EXERCISES = register(
    Exercise(
        "scaling.intensity",
        intensity,
        _diagnose_intensity,
        "One number says whether a faster chip or a faster memory would help.",
        (
            "m n results, each a sum of k products: how many multiplications and additions is that?",
            "2 m k n operations; m k + k n + m n numbers, each of number_bytes.",
        ),
        form="four ints -> float",
    ),
    Exercise(
        "scaling.loss_factors",
        loss_factors,
        _diagnose_factors,
        "This is what the package's loop does with every micro-batch.",
        (
            "Wanted: sum over processes of n_r loss_r, divided by all labels N. DDP gives the sum divided by R.",
            "So each process multiplies its mean loss by n_r R / N.",
        ),
        form="labels: list of R ints -> list of R floats",
    ),
    Exercise(
        "scaling.zero_bytes",
        zero_bytes,
        _diagnose_zero,
        "With it you know before you rent a GPU whether a model fits.",
        (
            "Start from DDP: 4 + 4 + 8 bytes per parameter. Each stage divides one more part by the number of GPUs.",
            "Stage 1: the moments (8 bytes). Stage 2: also the gradients (4). Stage 3: also the weights (4).",
        ),
        form="three ints -> float",
    ),
)
