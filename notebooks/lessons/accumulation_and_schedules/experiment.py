"""Lesson 10, accumulation and schedules: the experiments. The exercises are in `exercises.py`.

52 clips to train on make 13 micro-batches of 4, that is groups of 4, 4, 4 and 1: the tail is ragged on purpose. Twelve
other clips are for validation. The longer runs are made by `runs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.llama.sequence import IGNORE, Sequences
from motionlab.training.optimizer import make_optimizer
from motionlab.training.schedule import lr_factor
from motionlab.views.schedules import bare_cosine

MICRO, ACCUMULATION = 4, 4
TRAIN, HELD_OUT = range(52), range(52, 64)
GRADIENT_WAYS = ("right", "zero_grad inside", "mean of means", "no divisor")
WAYS = (
    "one big batch", *GRADIENT_WAYS, "tail over A", "tail left over", "schedule per micro-batch",
    "total in micro-batches",
)  # fmt: skip


# ---- one group -------------------------------------------------------------------------------------------------------
def join(batches: Sequence[Sequences]) -> Sequences:
    """Micro-batches as one big batch, padded to the longest row."""

    def stack(parts: list[Tensor], value: float) -> Tensor:
        width = max(part.shape[1] for part in parts)
        return torch.cat([_widen(part, width, value) for part in parts])

    pad = int(max(batch.tokens.max() for batch in batches))  # PAD fills every text slot and is the largest id
    return Sequences(
        stack([batch.tokens for batch in batches], pad),
        stack([batch.labels for batch in batches], IGNORE),
        stack([batch.text for batch in batches], 0.0),
        stack([batch.text_mask for batch in batches], False),
    )


def _widen(part: Tensor, width: int, value: float) -> Tensor:
    missing = width - part.shape[1]
    return F.pad(part, (0, 0, 0, missing) if part.dim() == 3 else (0, missing), value=value)


def shares(batches: Sequence[Sequences], way: str, divisor: int | None = None) -> list[float]:
    """The number that each micro-batch's mean loss is multiplied by.

    Args:
        way: "right" is n_i / N, with n_i predicted tokens in micro-batch i; "mean of means" is 1 / A;
            "no divisor" is 1. "zero_grad inside" weighs as "mean of means" does.
        divisor: A; None is the number of micro-batches.
    """
    counts = [batch.n_labels for batch in batches]
    if way == "right":
        return [n / sum(counts) for n in counts]
    return [1.0 if way == "no divisor" else 1 / (divisor or len(batches))] * len(batches)


def accumulate(
    model: MotionLlama, batches: Sequence[Sequences], way: str = "right", divisor: int | None = None
) -> None:
    """Leave in `.grad` what a published way of accumulating leaves there; see `shares`."""
    for batch, share in zip(batches, shares(batches, way, divisor), strict=True):
        if way == "zero_grad inside":
            model.zero_grad()
        (sequence_losses(model, batch).loss * share).backward()


def gradient(model: nn.Module) -> Tensor:
    """Every gradient of a model in one row."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@dataclass(frozen=True)
class Distance:
    """A gradient against that of the big batch: relative error, cosine, and how many times as long it is."""

    error: float
    cosine: float
    length: float


def distance_to_big_batch(
    way: Callable[[MotionLlama, Sequence[Sequences]], object], *, groups: int = 6, seed: int = 0
) -> Distance:
    """Mean over several full groups of four micro-batches, at the weights of an untrained decoder.

    Args:
        way: called with a model without gradients and a list of micro-batches; leaves its gradient in `.grad`.
    """
    model, batches = small_decoder(seed), sequence_batches(MICRO, seed=seed, clips=TRAIN)
    found = []
    for group in range(groups):
        micro = [batches(ACCUMULATION * group + i) for i in range(ACCUMULATION)]
        model.zero_grad()
        accumulate(model, [join(micro)])
        big = gradient(model)
        model.zero_grad()
        way(model, micro)
        small = gradient(model)
        cosine = F.cosine_similarity(small.double(), big.double(), dim=0)
        found.append(((small - big).norm() / big.norm(), cosine, small.norm() / big.norm()))
    return Distance(*(float(torch.stack(column).mean()) for column in zip(*found, strict=True)))


# ---- whole trainings -------------------------------------------------------------------------------------------------
@dataclass
class Training:
    """The record of a training: validation loss, the rate of each step, the sum of the shares of each step."""

    loss: float
    rates: list[float]
    weights: list[float]
    model: MotionLlama


def groups_of_epoch(way: str, epoch: int, left: list[int]) -> Iterator[list[int]]:
    """The numbers of the micro-batches of each step of an epoch; `left` carries what found no step.

    The published test is `(index + 1) % A == 0`: micro-batch 13 of 13 finds no step.
    """
    count = -(-len(TRAIN) // MICRO)
    group = left[:]
    left.clear()
    for index in range(count):
        group.append(count * epoch + index)
        if (index + 1) % ACCUMULATION == 0 or (index + 1 == count and way != "tail left over"):
            yield group
            group = []
    left.extend(group)


def train(way: str, *, seed: int = 0, epochs: int = 12, lr: float = 3e-3, sgd: bool = False) -> Training:
    """Train the small decoder in one of `WAYS`, on the same clips in the same order.

    Warm-up over an eighth of the steps, then a cosine to 0.

    Args:
        sgd: plain SGD with a hundred times the rate, instead of AdamW.
    """
    model, batches = small_decoder(seed), sequence_batches(MICRO, seed=seed, clips=TRAIN)
    optimizer: torch.optim.Optimizer = make_optimizer(model, lr=lr, betas=(0.9, 0.999))
    if sgd:
        lr *= 100
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    per_epoch = -(-len(TRAIN) // (MICRO * ACCUMULATION))
    steps = epochs * per_epoch
    warmup, seen = steps // 8, 0
    rates: list[float] = []
    weights: list[float] = []
    left: list[int] = []
    for epoch in range(epochs):
        for group in groups_of_epoch(way, epoch, left):
            micro = [batches(i) for i in group]
            rate = lr * _factor(way, len(rates), seen, steps, warmup)
            for each in optimizer.param_groups:
                each["lr"] = rate
            how = way if way in GRADIENT_WAYS else "mean of means" if way.startswith("tail") else "right"
            divisor = ACCUMULATION if way.startswith("tail") else None
            micro = [join(micro)] if way == "one big batch" else micro
            accumulate(model, micro, how, divisor)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            rates.append(rate)
            weights.append(sum(shares(micro, how, divisor)))
            seen += len(group)
    return Training(held_out_loss(model), rates, weights, model)


def _factor(way: str, step: int, seen: int, steps: int, warmup: int) -> float:
    if way == "schedule per micro-batch":  # the formula of the notes, which nobody stops at its end
        return bare_cosine(seen, steps=steps, warmup_steps=warmup)
    if way == "total in micro-batches":
        return lr_factor(step, steps=steps * ACCUMULATION, warmup_steps=warmup)
    return lr_factor(step, steps=steps, warmup_steps=warmup)


@torch.no_grad()
def held_out_loss(model: MotionLlama) -> float:
    """Nats per token on the clips that no training saw."""
    batch = sequence_batches(len(HELD_OUT), clips=HELD_OUT)(0)
    return float(sequence_losses(model.eval(), batch).loss)


def train_batch(batch: int, lr: float, *, seed: int = 0, epochs: int = 16, warmup_share: float = 0.125) -> float:
    """Validation loss after some epochs of 48 clips with a batch of `batch` clips: small ones step more often."""
    model, batches = small_decoder(seed), sequence_batches(batch, seed=seed, clips=range(48))
    optimizer = make_optimizer(model, lr=lr, betas=(0.9, 0.999))
    steps = epochs * (48 // batch)
    for step in range(steps):
        factor = lr_factor(step, steps=steps, warmup_steps=max(0, round(warmup_share * steps)))
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        sequence_losses(model, batches(step)).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return held_out_loss(model)


def best_rate(results: dict[str, list[float]], batch: int) -> tuple[float, list[float]]:
    """The rate with the lowest mean loss among the kept runs of a batch size, and its losses, one per seed."""
    rows = {key: value for key, value in results.items() if key.startswith(f"batch {batch},")}
    key = min(rows, key=lambda name: sum(rows[name]))
    return float(key.split("lr ")[1]), rows[key]
