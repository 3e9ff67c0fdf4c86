"""Exercises of lesson 05, "How does RoPE encode position?": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, register


# ---- 1. turn a head vector -------------------------------------------------------------------------------------------
def turn(x: Tensor, position: int, theta: float) -> Tensor:
    """Turn the pairs (0, 1), (2, 3), ... of one head vector `[hd]` by position * theta ** (-2i / hd)."""
    head_dim = len(x)
    angle = position * theta ** (-torch.arange(0, head_dim, 2) / head_dim)  # [hd/2]
    even, odd = x[0::2], x[1::2]
    turned = torch.stack([even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos()], dim=1)
    return turned.flatten()  # [hd/2, 2] -> [hd]


def _halves(x: Tensor, position: int, theta: float) -> Tensor:
    """The other layout: channel i is paired with channel i + hd/2."""
    half = len(x) // 2
    mixed = torch.stack([x[:half], x[half:]], dim=1).flatten()
    return turn(mixed, position, theta).view(half, 2).T.flatten()


def _diagnose_turn(function: Callable[..., Any]) -> str | None:
    x = torch.tensor([3.0, 1.0, -2.0, 0.5, 1.5, -1.0, 0.25, 2.0])
    y = function(x.clone(), 3, 100.0)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like the input."
    if torch.allclose(y, x):
        return "nothing is turned: position 3 should move every pair."
    if not torch.allclose(y.norm(), x.norm(), rtol=1e-4):
        return f"a rotation keeps the length {x.norm():.3f}, got {y.norm():.3f}: check the signs of the two products."
    known = {
        "these are the pairs (0, 4), (1, 5), ...: the layout of Hugging Face. Here neighbours form a pair.": _halves(
            x, 3, 100.0
        ),
        "the pairs turn the wrong way: (1, 0) must move to (cos, +sin).": turn(x, -3, 100.0),
        "pair 1 turns too slowly and pair 0 is right: the exponent is 2i / hd with i counting PAIRS, "
        "or i / hd with i = 0, 2, 4, ...": turn(x, 3, 10.0),
        "pairs turn ever faster: the exponent is negative, theta ** (-2i / hd).": turn(x, 3, 0.01),
        "every pair turns by the same angle: pair i has the frequency theta ** (-2i / hd).": turn(x, 3, 1.0),
        "this is the turn of position 4: position 0 turns by nothing, so do not add 1.": turn(x, 4, 100.0),
    }
    for sentence, wrong in known.items():
        if torch.allclose(y, wrong, atol=1e-4):
            return sentence
    if not torch.allclose(y, turn(x, 3, 100.0), atol=1e-4):
        first = turn(x, 3, 100.0)[:2]
        return f"the first pair (3, 1) should become ({first[0]:.3f}, {first[1]:.3f}), got ({y[0]:.3f}, {y[1]:.3f})."
    if not torch.allclose(function(x.clone(), 3, 10_000.0), turn(x, 3, 10_000.0), atol=1e-4):
        return "right for theta = 100 only: use the argument theta."
    return None


# ---- 2. from one layout to the other ---------------------------------------------------------------------------------
def half_split_order(head_dim: int) -> Tensor:
    """Our channel at each place of the other layout: 0, 2, 4, ..., then 1, 3, 5, ..."""
    return torch.arange(head_dim).view(-1, 2).T.flatten()


def _diagnose_order(function: Callable[..., Any]) -> str | None:
    order = function(8)
    if not isinstance(order, Tensor | list | tuple) or len(order) != 8:
        return "the result should hold 8 places for head_dim = 8."
    order = torch.as_tensor(order)
    if sorted(order.tolist()) != list(range(8)):
        return f"each channel must occur exactly once, got {order.tolist()}."
    right = half_split_order(8)
    if torch.equal(order, torch.arange(8)):
        return "this changes nothing: channel 1, the partner of 0, must come to place hd/2 = 4."
    if torch.equal(order, right.argsort()):
        return "this is the way back, from halves to neighbours. Place 1 should hold channel 2."
    if torch.equal(order, torch.arange(8).view(-1, 2).flip(1).flatten()):
        return "this swaps the two of each pair. Put all first ones in front, then all second ones."
    if torch.equal(order, torch.cat([right[4:], right[:4]])):
        return "the second ones are in front: the first half should be 0, 2, 4, 6."
    if not torch.equal(order, right):
        return f"expected {right.tolist()}, got {order.tolist()}."
    if torch.as_tensor(function(64)).tolist() != half_split_order(64).tolist():
        return "right for head_dim = 8 only: use the argument."
    return None


# ---- 3. pairs that come round ----------------------------------------------------------------------------------------
def pairs_that_turn(head_dim: int, theta: float, length: int) -> int:
    """How many channel pairs finish at least one turn within `length` positions."""
    return sum(length * theta ** (-2 * i / head_dim) >= 2 * math.pi for i in range(head_dim // 2))


def _diagnose_pairs(function: Callable[..., Any]) -> str | None:
    value = function(64, 10_000.0, 301)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"pairs are counted in whole numbers; you returned {value!r}."
    right = pairs_that_turn(64, 10_000.0, 301)
    known = {
        32 - right: "these are the pairs that do NOT finish a turn.",
        sum(301 * 10_000 ** (-2 * i / 64) >= 1 for i in range(32)): "this asks for one radian. A turn is 2 pi of them.",
        sum(301 * 10_000 ** (-2 * i / 64) >= 360 for i in range(32)): "this asks for 360 radians. A turn has 2 pi.",
        sum(
            301 * 10_000 ** (-i / 64) >= 2 * math.pi for i in range(32)
        ): "the exponent is 2i / hd; i counts hd / 2 pairs.",
        sum(301 * 10_000 ** (-2 * i / 64) >= math.pi for i in range(32)): "pi is half a turn.",
    }
    if value != right:
        return known.get(value, f"64 channels, base 10,000 and 301 positions should give {right}, got {value}.")
    for settings in ((128, 10_000.0, 301), (64, 500_000.0, 301), (64, 10_000.0, 8192), (64, 10_000.0, 6)):
        if function(*settings) != pairs_that_turn(*settings):
            return f"right for (64, 10000, 301), but {settings} should give {pairs_that_turn(*settings)}."
    return None


# ---- 4. a table for half precision -----------------------------------------------------------------------------------
def turns_in(dtype: torch.dtype, length: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[length, hd/2]` in `dtype`, base 10,000: everything in float32, rounded once, at the end."""
    frequency = 10_000.0 ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)  # [length, hd/2]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def _diagnose_table(function: Callable[..., Any]) -> str | None:
    result = function(torch.bfloat16, 301, 64)
    if not isinstance(result, tuple | list) or len(result) != 2 or not all(isinstance(x, Tensor) for x in result):
        return "the result should be two tensors, cosines and sines."
    cos, sin = result
    if cos.shape != (301, 32) or sin.shape != (301, 32):
        return f"both should have shape (301, 32), one row per position; got {tuple(cos.shape)} and {tuple(sin.shape)}."
    if cos.dtype != torch.bfloat16 or sin.dtype != torch.bfloat16:
        return f"the tables should be in {torch.bfloat16} at the end, got {cos.dtype} and {sin.dtype}."
    if not torch.equal(cos[0], torch.ones(32).bfloat16()):
        return "at position 0 nothing turns: the cosines there are 1. Are cosine and sine in this order?"
    distinct = len(torch.cat([cos, sin], dim=1).unique(dim=0))
    if distinct < 301:
        return (
            f"only {distinct} of 301 positions are different: a position was rounded to bfloat16, which has no 257. "
            "Stay in float32 until the cosine is taken."
        )
    right = turns_in(torch.float32, 301, 64)
    error = max(float((cos.float() - right[0]).abs().max()), float((sin.float() - right[1]).abs().max()))
    if error > 0.01:
        return (
            f"301 different rows, but a number is off by {error:.2f}: frequencies or angles were rounded too early. "
            "A rounded frequency is multiplied by the position, and its error as well."
        )
    if function(torch.float64, 5, 8)[0].dtype != torch.float64:
        return "right for bfloat16 only: use the argument dtype."
    return None


# ---- 5. a base for longer sequences ----------------------------------------------------------------------------------
def longer_base(theta: float, factor: float, head_dim: int) -> float:
    """The base that makes the slowest pair turn `factor` times as slowly; the fastest one stays."""
    return float(theta * factor ** (head_dim / (head_dim - 2)))  # the slowest frequency is theta ** -((hd - 2) / hd)


def _diagnose_base(function: Callable[..., Any]) -> str | None:
    value = function(10_000.0, 4.0, 64)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"the base is one number; you returned {value!r}."
    slowest = (10_000.0 / value) ** (62 / 64) if value > 0 else math.inf  # new frequency / old frequency
    known = {
        40_000.0: "multiplying by the factor itself is nearly right, but the slowest pair has the exponent (hd - 2) / "
        f"hd, not 1: it would be slowed down by {1 / slowest:.3f} only.",
        2_500.0: "a smaller base turns faster. To reach further the pairs must turn more slowly.",
        10_000.0 * 4.0 ** (62 / 64): "the exponent is upside down: solve base ** ((hd - 2) / hd) = ... for the base.",
        10_000.0: "this is the old base.",
    }
    for wrong, sentence in known.items():
        if math.isclose(value, wrong, rel_tol=1e-9):
            return sentence
    if not math.isclose(slowest, 0.25, rel_tol=1e-6):
        return f"with base {value:,.0f} the slowest of 32 pairs turns {1 / slowest:.3f} times as slowly, not 4 times."
    if not math.isclose(function(500_000.0, 2.0, 128), longer_base(500_000.0, 2.0, 128), rel_tol=1e-6):
        return "right for (10000, 4, 64) only: use all three arguments."
    return None


EXERCISES = register(
    Exercise(
        "rope.turn",
        turn,
        _diagnose_turn,
        "This is all of RoPE; attention applies it to every query and key.",
        (
            "x[0::2] are the first numbers of all pairs, x[1::2] the second ones. Each pair has its own angle.",
            "(a, b) becomes (a cos - b sin, a sin + b cos). torch.stack([...], dim=1).flatten() weaves them together.",
        ),
        form="x [hd], position: int, theta: float -> [hd]",
    ),
    Exercise(
        "rope.half_split_order",
        half_split_order,
        _diagnose_order,
        "Used on the rows of the query and key weights, it takes a checkpoint from one library to the other.",
        (
            "Write it down for head_dim = 8: the first ones of all pairs, then the second ones.",
            "torch.arange(head_dim).view(-1, 2) has one pair per row. Read it column by column.",
        ),
        form="head_dim: int -> int64 [head_dim]",
    ),
    Exercise(
        "rope.pairs_that_turn",
        pairs_that_turn,
        _diagnose_pairs,
        "All other pairs never show training every angle; a longer sequence brings angles that are new.",
        (
            "Pair i turns by theta ** (-2 * i / head_dim) radians per position. How many after `length` positions?",
            "Count the i in range(head_dim // 2) with length * frequency >= 2 * math.pi.",
        ),
        form="head_dim: int, theta: float, length: int -> int",
    ),
    Exercise(
        "rope.turns_in",
        turns_in,
        _diagnose_table,
        "The model may run in bfloat16; its positions must not.",
        (
            "Which numbers are large, and which are between -1 and 1? bfloat16 has 8 significant bits.",
            "Make positions, frequencies, angles and cosines in float32. The last thing is .to(dtype).",
        ),
        form="dtype: a torch.dtype, two ints -> two tensors [length, head_dim / 2] in dtype",
    ),
    Exercise(
        "rope.longer_base",
        longer_base,
        _diagnose_base,
        "It equals the ntk scaling of the package.",
        (
            "The slowest of hd / 2 pairs has the frequency theta ** (-(hd - 2) / hd). Divide it by factor.",
            "new ** ((hd - 2) / hd) = theta ** ((hd - 2) / hd) * factor. Raise both sides to hd / (hd - 2).",
        ),
        form="theta, factor: floats, head_dim: int -> float",
    ),
)
