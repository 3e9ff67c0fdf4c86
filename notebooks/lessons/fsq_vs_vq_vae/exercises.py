"""Exercises of lesson 03, "Why FSQ instead of VQ-VAE?": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, as_number, register


# ---- 1. straight-through rounding ------------------------------------------------------------------------------------
def round_ste(x: Tensor) -> Tensor:
    """Round forward; let the gradient through backward as if nothing had been rounded."""
    return x + (x.round() - x).detach()


def _diagnose_round(function: Callable[..., Any]) -> str | None:
    x = torch.tensor([-1.6, -0.4, 0.3, 0.7, 2.2], requires_grad=True)
    y = function(x)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like the input."
    if torch.allclose(y, x):
        return "nothing is rounded: the result equals the input. Check which part you detach."
    if torch.allclose(y, x.floor()):
        return "this rounds down (floor); take the nearest whole number with x.round()."
    if not torch.allclose(y, x.round(), atol=1e-6):
        return f"the forward value is wrong: x = 0.7 should give 1, got {y[3].item():g}."
    if not y.requires_grad:
        return "the result is cut off from x (no gradient at all): detach only the part that was added by rounding."
    (gradient,) = torch.autograd.grad((y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum(), x, allow_unused=True)
    if gradient is None or not gradient.any():
        return "the gradient is zero: round() is flat almost everywhere. Did you forget .detach()?"
    if not torch.allclose(gradient, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])):
        factor = (gradient / torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))[0].item()
        return f"the gradient should pass unchanged, but it is multiplied by {factor:g}."
    return None


# ---- 2. the implicit codebook ----------------------------------------------------------------------------------------
def steps_to_index(steps: Tensor, levels: Sequence[int]) -> Tensor:
    """Whole numbers [..., d] around 0 to one index [...]; the first dimension runs fastest."""
    basis = torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])  # levels (8, 5, 5) -> 1, 8, 40
    half = torch.tensor([level // 2 for level in levels])
    return ((steps.long() + half) * basis).sum(-1)


def _diagnose_index(function: Callable[..., Any]) -> str | None:
    levels = (8, 5, 5)
    ranges = [torch.arange(level) - level // 2 for level in levels]
    steps = torch.cartesian_prod(*ranges).float()  # every code once: [200, 3]
    index = function(steps, levels)
    if not isinstance(index, Tensor) or index.shape != steps.shape[:-1]:
        return f"the result should have shape {tuple(steps.shape[:-1])}: one index per row of {len(levels)} numbers."
    if index.min() < 0:
        return "some indices are negative: shift the steps by L // 2 first, so that they run from 0 to L - 1."
    if len(index.unique()) < len(steps):
        return (
            f"only {len(index.unique())} different indices for {len(steps)} codes: two codes share one. "
            "Each dimension needs its own weight, as the digits of a number do."
        )
    expected = steps_to_index(steps, levels)
    if index.max() >= len(steps):
        return f"the largest index is {int(index.max())}, but there are only {len(steps)} codes: check the weights."
    reversed_order = steps_to_index(steps.flip(-1), levels[::-1])
    if torch.equal(index.long(), reversed_order):
        return "here the LAST dimension runs fastest. Let the FIRST run fastest: its weight is 1, the next one's 8, ..."
    if not torch.equal(index.long(), expected):
        return f"step (1, 0, 0) should give {_one(steps_to_index, levels)}, got {_one(function, levels)}."
    if index.is_floating_point():
        return f"the indices are {index.dtype}; an index is a whole number: use .long() before the sum."
    large = function(torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]), (8, 8, 8, 5, 5, 5))
    if int(large) != 44836:
        return f"with levels (8, 8, 8, 5, 5, 5) the last step alone should give 44836, got {int(large)}: use int64."
    return None


def _one(function: Callable[..., Any], levels: Sequence[int]) -> int:
    return int(function(torch.tensor([[1.0] + [0.0] * (len(levels) - 1)]), levels))


# ---- 3. how many codes are really in use -----------------------------------------------------------------------------
def perplexity(indices: Tensor, codebook_size: int) -> float:
    """2 to the entropy in bits: as many codes as if all were used equally often."""
    counts = torch.bincount(indices.reshape(-1), minlength=codebook_size)
    p = counts[counts > 0].double() / counts.sum()  # log 0 is never taken
    return float(2 ** -(p * p.log2()).sum())


def _diagnose_perplexity(function: Callable[..., Any]) -> str | None:
    even = torch.arange(8).repeat(5)
    value = as_number(function(even, 8))
    if value is None:
        return "the result should be one number."
    if math.isnan(value):
        return "the result is nan even though every code is used: check the formula."
    if abs(value - 3) < 1e-4:
        return "this is the entropy in bits. Perplexity is 2 to that power."
    if abs(value - math.log(8)) < 1e-4:
        return "this is the entropy in nats. Perplexity is e to that power."
    if abs(value - 2 ** math.log(8)) < 1e-3 or abs(value - math.exp(3)) < 1e-3:
        return "log and power do not fit together: use log2 with 2 ** ..., or log with exp."
    if abs(value - 1) < 1e-6 or abs(value - 100) < 1e-4:
        return "this is the share of codes that are used. Perplexity also weighs how often each one is used."
    if abs(value - 1 / 8) < 1e-4:
        return "the sign is wrong: entropy is MINUS the sum of p log p."
    if abs(value - 8) > 1e-3:
        return f"8 codes used equally often should give 8, got {value:g}."
    one = as_number(function(torch.zeros(10, dtype=torch.long), 4))
    if one is None or math.isnan(one):
        return "one used code among four gives nan: 0 * log 0 is nan in floating point. Leave out codes with count 0."
    uneven = as_number(function(torch.tensor([[0, 0, 0], [0, 0, 7]]), 16))
    if abs(one - 1) > 1e-3:
        return f"one used code should give 1, got {one:g}."
    expected = perplexity(torch.tensor([0, 0, 0, 0, 0, 7]), 16)
    if uneven is not None and abs(uneven - 2) < 1e-3:
        return "this counts the used codes. A code used five times out of six must weigh more than one used once."
    if uneven is None or abs(uneven - expected) > 1e-3:
        return f"codes used 5 times and once should give {expected:.3f}, got {uneven}."
    return None


# ---- 4. how many bits ------------------------------------------------------------------------------------------------
def bits_per_frame(levels: Sequence[int], down_t: int) -> float:
    """The most that a token can say, spread over the frames that it covers."""
    frames: int = 2**down_t
    return math.log2(math.prod(levels)) / frames


def _diagnose_bits(function: Callable[..., Any]) -> str | None:
    levels = (8, 8, 8, 5, 5, 5)
    value = as_number(function(levels, 1))
    if value is None:
        return "the result should be one number."
    right = bits_per_frame(levels, 1)
    if abs(value - 2 * right) < 1e-6:
        return "these are the bits of a token. A token covers 2 ** down_t frames."
    if abs(value - 8) < 1e-6:
        return "this is for 65,536 codes, the name in the published options. Use the product of the levels: 64,000."
    if abs(value - right * math.log(2)) < 1e-6:
        return "these are nats (natural logarithm). A bit needs log2."
    if abs(value - math.log2(sum(levels)) / 2) < 1e-6:
        return "you added the levels. All combinations are codes, so multiply them."
    if abs(value - 32_000) < 1e-6:
        return "this is a number of codes. How many yes-or-no answers pick one of 64,000? Use log2."
    if abs(value - right) > 1e-6:
        return f"levels (8, 8, 8, 5, 5, 5) with down_t = 1 should give {right:.3f}, got {value:g}."
    value = as_number(function((8, 5, 5, 5), 2))
    if value is not None and abs(value - math.log2(1000) / 2) < 1e-6:
        return "right for down_t = 1 only: down_t counts halvings, so a token covers 2 ** down_t frames, not down_t."
    if value is None or abs(value - math.log2(1000) / 4) > 1e-6:
        return f"levels (8, 5, 5, 5) with down_t = 2 should give {math.log2(1000) / 4:.3f}, got {value}."
    value = as_number(function((8, 5, 5, 5), 0))
    if value is None or abs(value - math.log2(1000)) > 1e-6:
        return f"with down_t = 0 a token covers one frame: {math.log2(1000):.3f} bits, got {value}."
    return None


# ---- 5. how full the levels are --------------------------------------------------------------------------------------
def level_shares(bounded: Tensor, levels: int) -> Tensor:
    """Bounded numbers `[n]` of one dimension to the share of them on each level `[levels]`, lowest level first."""
    index = bounded.round().long() + levels // 2  # 0..levels - 1
    return torch.bincount(index, minlength=levels) / len(index)


def _diagnose_shares(function: Callable[..., Any]) -> str | None:
    bounded = torch.tensor([-1.7, -1.6, -0.4, 0.2, 0.3, 0.6, 0.7, 0.8])  # 5 levels; none is on the highest
    expected = [0.25, 0.0, 0.375, 0.375, 0.0]
    shares = function(bounded, 5)
    if not isinstance(shares, Tensor) or shares.ndim != 1:
        return "the result should be a tensor of shape (levels,)."
    if len(shares) < 5:
        return f"only {len(shares)} shares for 5 levels: the highest level is empty here, but it counts. Use minlength."
    if len(shares) > 5:
        return f"{len(shares)} shares for 5 levels: the lowest step is -2, so shift by levels // 2."
    if abs(float(shares.double().sum()) - 8) < 1e-6:
        return "these are counts. A share is a count divided by how many numbers there are."
    if float(shares[2]) > 0.5 and abs(float(shares.double().sum()) - 1) < 1e-6:
        return "0.7 went to level 0: .long() cuts the fraction off, and floor rounds down. Use .round() first."
    if torch.allclose(shares.double(), torch.tensor(expected[::-1], dtype=torch.float64)):
        return "the order is reversed: the lowest level comes first."
    if abs(float(shares.double().sum()) - 1) > 1e-6:
        return f"all shares together should be 1, got {float(shares.sum()):g}."
    if not torch.allclose(shares.double(), torch.tensor(expected, dtype=torch.float64)):
        return f"expected {expected}, got {[round(float(share), 4) for share in shares]}."
    even = function(torch.tensor([-4.0, -4.2, 3.0]), 8)
    if not isinstance(even, Tensor) or even.shape != (8,) or abs(float(even[0]) - 2 / 3) > 1e-6:
        return "8 levels run from -4 to 3, so -4 is the first of 8 shares: shift by levels // 2."
    return None


EXERCISES = register(
    Exercise(
        "fsq.round_ste",
        round_ste,
        _diagnose_round,
        "This one line is what makes a quantizer trainable.",
        (
            "You need something whose VALUE is x.round() and whose GRADIENT is that of x.",
            "Write the result as x + something. What must the something be, and must a gradient flow through it?",
        ),
        form="x [n] -> [n]",
    ),
    Exercise(
        "fsq.steps_to_index",
        steps_to_index,
        _diagnose_index,
        "No codebook is stored: the index IS the position on the grid.",
        (
            "Think of hours, minutes and seconds: each digit has its own weight, a product of ranges.",
            "Shift each step by level // 2, multiply by 1, L1, L1*L2, ..., and add up, all in int64.",
        ),
        form="steps [..., d] (whole numbers as floats), levels: d ints -> int64 [...]",
    ),
    Exercise(
        "usage.perplexity",
        perplexity,
        _diagnose_perplexity,
        "It is the number to watch for codebook collapse.",
        (
            "torch.bincount counts each code without a [tokens, codebook_size] matrix.",
            "p = counts / total; leave out zeros; entropy = -(p * p.log2()).sum(); the answer is 2 ** entropy.",
        ),
        form="indices: int64 of any shape, such as [n] or [B, n] -> float",
    ),
    Exercise(
        "fsq.bits_per_frame",
        bits_per_frame,
        _diagnose_bits,
        "Only with equal bits can two tokenizers be compared by their error.",
        (
            "One of K equally likely codes is worth log2 K bits. K is the product of the levels.",
            "math.log2(math.prod(levels)), divided by the frames of a token: 2 ** down_t.",
        ),
        form="levels: d ints, down_t: int -> float",
    ),
    Exercise(
        "fsq.level_shares",
        level_shares,
        _diagnose_shares,
        "With it you can test any claim that levels are filled evenly.",
        (
            "Round, shift so that the lowest level is 0, count.",
            "torch.bincount(index, minlength=levels) counts; divide by how many numbers there were.",
        ),
        form="bounded [n], levels: int -> [levels]",
    ),
)
