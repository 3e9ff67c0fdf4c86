"""Exercises of lesson 04, "Where do 11,349,782 parameters sit?": references, and checks that name the mistake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from motionlab.cost.allocations import record_memory
from motionlab.teaching.exercise import Exercise, register


# ---- 1. the parameters of a convolution ------------------------------------------------------------------------------
def conv_parameters(channels_in: int, channels_out: int, kernel: int) -> int:
    """Each output channel has a weight for each input channel and place of the kernel, and one bias."""
    return channels_in * channels_out * kernel + channels_out


def _diagnose_conv(function: Callable[..., Any]) -> str | None:
    value = function(272, 512, 3)
    if not isinstance(value, int):
        return f"parameters are counted in whole numbers; you returned {value!r}."
    known = {
        272 * 512 * 3: "these are only the weights. Each output channel has a bias as well.",
        272 * 512 * 3 + 272: "one bias for each INPUT channel was added; a bias belongs to an output channel.",
        272 * 512 + 512: "the kernel is missing: a kernel of 3 has a weight for each of its 3 frames.",
        (272 * 512 + 512) * 3: "the biases were multiplied by the kernel too: there is one for each output channel.",
        272 * 512 * 9 + 512: "this is a two-dimensional kernel, 3 x 3. Convolutions over time have k places only.",
        272 * 512 * 3 + 1: "one bias for the whole layer was added; each output channel has its own.",
    }
    if value in known:
        return known[value]
    if value != 418_304:
        return f"a convolution from 272 to 512 channels with kernel 3 should have 418,304 parameters, got {value:,}."
    for sizes in ((512, 512, 4), (512, 6, 1)):
        if function(*sizes) != conv_parameters(*sizes):
            return f"right for (272, 512, 3), but {sizes} should give {conv_parameters(*sizes):,}: use the arguments."
    return None


# ---- 2. what training holds for the parameters -----------------------------------------------------------------------
def parameter_bytes(parameters: int, optimizer: str) -> int:
    """Weights, gradients and optimizer state in float32. The optimizer is "sgd", "momentum" or "adamw"."""
    numbers = 2 + {"sgd": 0, "momentum": 1, "adamw": 2}[optimizer]
    return 4 * numbers * parameters


def _diagnose_bytes(function: Callable[..., Any]) -> str | None:
    values = {name: function(1000, name) for name in ("sgd", "momentum", "adamw")}
    right = {name: parameter_bytes(1000, name) for name in values}
    if values == right:
        return None if function(11_349_782, "adamw") == 181_596_512 else "it is right for 1000 parameters only."
    if any(not isinstance(value, int | float) for value in values.values()):
        return f"the result should be one number; for AdamW you returned {values['adamw']!r}."
    if len(set(values.values())) == 1:
        return "all three optimizers give the same. How many numbers does each remember for a parameter? 0, 1 and 2."
    if all(4 * values[name] == right[name] for name in values):
        return "these are numbers, not bytes: a float32 number has 4 bytes."
    if all(right[name] - values[name] == 4000 for name in values):
        return "one of the copies is missing: before the optimizer there are the weights AND the gradients."
    if all(2 * values[name] == right[name] for name in values):
        return "this is for 2 bytes per number. Under autocast, weights, gradients and optimizer state stay float32."
    if values["sgd"] == right["sgd"] and values["adamw"] == right["momentum"]:
        return "AdamW remembers two numbers for each parameter: the average of the gradient and that of its square."
    for name, value in values.items():
        if value != right[name]:
            return f"1000 parameters with {name} should take {right[name]:,} bytes, got {value:,}."
    return None


# ---- 3. the largest batch --------------------------------------------------------------------------------------------
def largest_batch(fixed: int, per_clip: int, budget: int) -> int:
    """The peak is fixed + per_clip * batch bytes. Which batch still fits into the budget?"""
    return max(0, (budget - fixed) // per_clip)


def _diagnose_batch(function: Callable[..., Any]) -> str | None:
    value = function(130, 4, 332)
    if not isinstance(value, int):
        return f"a batch is a whole number of clips; you returned {value!r}."
    if value == 332 // 4:
        return "the fixed part is missing: it is needed before the first clip."
    if value == 49:
        return "fixed 130, 4 per clip: 50 clips need 330 of 332, but you allow 49."
    uneven = function(130, 4, 333)
    if uneven == 51 or value == 51:
        return "51 clips need 130 + 51 * 4 = 334, more than the budget: round down."
    if value != 50 or uneven != 50:
        return f"fixed 130, 4 per clip, budget 332: 50 clips fit, got {value}."
    exact = function(130, 4, 330)
    if exact != 50:
        return f"50 clips need exactly 330. With a budget of 330 they fit, but you allow {exact}."
    small = function(130, 4, 100)
    if small < 0:
        return f"a budget below the fixed part gives {small} clips; it should give 0."
    return None if small == 0 else f"a budget below the fixed part should give 0 clips, got {small}."


# ---- 4. counting without a matrix ------------------------------------------------------------------------------------
def count_codes(batches: Sequence[Tensor], codebook_size: int) -> Tensor:
    """How often each code occurs over all batches, [codebook_size], holding little more than the counts."""
    counts = torch.zeros(codebook_size, dtype=torch.int64)
    for indices in batches:
        counts += torch.bincount(indices.reshape(-1), minlength=codebook_size)
    return counts


def _diagnose_counts(function: Callable[..., Any]) -> str | None:
    codes = 2000
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randint(codes - 5, (10, 50), generator=generator) for _ in range(200)]
    expected = count_codes(batches, codes)
    with record_memory() as memory:
        counts = function(batches, codes)
    if not isinstance(counts, Tensor) or counts.ndim != 1:
        return f"the result should be a tensor of shape ({codes},): one count for each code."
    if len(counts) != codes:
        return f"{len(counts)} counts for {codes} codes: codes that never occur count too. Use minlength."
    if torch.equal(counts.double(), torch.bincount(batches[-1].reshape(-1), minlength=codes).double()):
        return "only the last batch is counted: add the counts of all batches up."
    if abs(float(counts.double().sum()) - 1) < 1e-3:
        return "these are shares. Counts are needed, so that more batches can be added later."
    if int(counts.max()) <= 1:
        return "no code has more than 1: a code that occurs several times must be counted each time (scatter_add_)."
    if not torch.equal(counts.double(), expected.double()):
        return f"the counts are wrong: they add up to {int(counts.sum()):,} for 100,000 tokens."
    kib = memory.peak / 1024
    if kib > 2000:
        return (
            f"the counts are right, but {kib:,.0f} KiB were held for {codes} of them: that is a matrix "
            "[codes, tokens]. torch.bincount needs none."
        )
    if kib > 250:
        return (
            f"the counts are right, but {kib:,.0f} KiB were held, and it grows with the data: the batches were put "
            "into one tensor first. Add up batch by batch."
        )
    return None


EXERCISES = register(
    Exercise(
        "params.conv",
        conv_parameters,
        _diagnose_conv,
        "Nearly all parameters of the tokenizer are in layers like this one.",
        (
            "Think of one output channel first: which numbers does it need to compute one value?",
            "It needs channels_in * kernel weights and one bias; there are channels_out such channels.",
        ),
        form="three ints -> int",
    ),
    Exercise(
        "memory.parameter_bytes",
        parameter_bytes,
        _diagnose_bytes,
        "For AdamW that is 16 bytes per parameter, before the first activation.",
        (
            "Three things have as many numbers as the model has parameters, or a multiple of that.",
            "Weights 1, gradients 1, optimizer 0, 1 or 2 numbers per parameter; each number has 4 bytes.",
        ),
        form="parameters: int, optimizer: str -> int",
    ),
    Exercise(
        "memory.largest_batch",
        largest_batch,
        _diagnose_batch,
        "Two measurements give fixed and per_clip; then no third run has to fail.",
        (
            "How much of the budget is left for clips?",
            "Divide the rest by per_clip and round down with //; mind a budget that is too small for anything.",
        ),
        form="three ints -> int",
    ),
    Exercise(
        "memory.count_codes",
        count_codes,
        _diagnose_counts,
        "It takes as much memory after a million clips as after one.",
        (
            "torch.bincount(indices.reshape(-1), minlength=codebook_size) counts one batch.",
            "Start with zeros of shape [codebook_size] and add the counts of each batch to them.",
        ),
        form="batches: list of int64 of any shape, codebook_size: int -> int64 [codebook_size]",
    ),
)
