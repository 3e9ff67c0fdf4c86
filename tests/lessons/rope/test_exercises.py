"""The checks of lesson 05: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math

import pytest
import torch

from lessons.rope.exercises import half_split_order, longer_base, pairs_that_turn, turn, turns_in
from motionlab.llama.rope import apply_rope, rope_frequencies, rope_table, to_half_split
from motionlab.llama.rope_scaling import NTKScaling


def _halves(x, position, theta):
    first, second = x.chunk(2)
    angle = position * rope_frequencies(len(x), theta)
    return torch.cat([first * angle.cos() - second * angle.sin(), first * angle.sin() + second * angle.cos()])


def _not_a_turn(x, position, theta):
    angle = position * rope_frequencies(len(x), theta)
    a, b = x[0::2], x[1::2]
    return torch.stack([a * angle.cos() + b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=1).flatten()


TURN_MUTANTS = {
    "halves": (_halves, "layout of Hugging Face"),
    "other way": (lambda x, position, theta: turn(x, -position, theta), "wrong way"),
    "half the exponent": (lambda x, position, theta: turn(x, position, theta**0.5), "i counting PAIRS"),
    "ever faster": (lambda x, position, theta: turn(x, position, 1 / theta), "negative"),
    "one angle": (lambda x, position, theta: turn(x, position, 1.0), "the same angle"),
    "from one": (lambda x, position, theta: turn(x, position + 1, theta), "do not add 1"),
    "signs": (_not_a_turn, "keeps the length"),
    "nothing": (lambda x, position, theta: x, "nothing is turned"),
    "added": (lambda x, position, theta: x + position, "keeps the length"),
    "degrees": (lambda x, position, theta: turn(x, math.radians(position), theta), "first pair"),  # type: ignore[arg-type]
    "base fixed": (lambda x, position, theta: turn(x, position, 100.0), "argument theta"),
    "a number": (lambda x, position, theta: 1.0, "should be a tensor"),
}

ORDER_MUTANTS = {
    "identity": (lambda n: torch.arange(n), "changes nothing"),
    "way back": (lambda n: half_split_order(n).argsort(), "the way back"),
    "swapped": (lambda n: torch.arange(n).view(-1, 2).flip(1).flatten(), "swaps the two"),
    "second ones first": (lambda n: torch.cat([torch.arange(1, n, 2), torch.arange(0, n, 2)]), "in front"),
    "only half": (lambda n: torch.arange(0, n, 2), "8 places"),
    "twice": (lambda n: torch.arange(0, n, 2).repeat(2), "exactly once"),
    "reversed": (lambda n: torch.arange(n).flip(0), "expected [0, 2, 4, 6"),
    "one width": (lambda n: half_split_order(8), "head_dim = 8 only"),
}


def _count(limit, step=2, pairs=2):
    return lambda hd, theta, length: sum(length * theta ** (-step * i / hd) >= limit for i in range(hd // pairs))


PAIRS_MUTANTS = {
    "the others": (lambda hd, theta, length: hd // 2 - pairs_that_turn(hd, theta, length), "do NOT finish"),
    "one radian": (_count(1.0), "one radian"),
    "degrees": (_count(360.0), "360 radians"),
    "exponent": (_count(2 * math.pi, step=1), "2i / hd"),
    "half a turn": (_count(math.pi), "half a turn"),
    "a float": (lambda hd, theta, length: float(pairs_that_turn(hd, theta, length)), "whole numbers"),
    "one length": (lambda hd, theta, length: pairs_that_turn(hd, theta, 301), "8192"),
    "all": (lambda hd, theta, length: hd // 2, "should give"),
}


def _table(position, frequency, angle):
    """`turns_in` that rounds too early, at the places whose argument is True."""

    def wrong(dtype, length, head_dim):
        w = rope_frequencies(head_dim)
        m = torch.arange(length, dtype=torch.float32)
        w = w.to(dtype).float() if frequency else w
        m = m.to(dtype).float() if position else m
        a = torch.outer(m, w)
        a = a.to(dtype).float() if angle else a
        return a.cos().to(dtype), a.sin().to(dtype)

    return wrong


TABLE_MUTANTS = {
    "all rounded": (_table(True, True, True), "only 279 of 301"),
    "positions rounded": (_table(True, False, False), "only 279 of 301"),
    "frequencies rounded": (_table(False, True, False), "rounded too early"),
    "angles rounded": (_table(False, False, True), "rounded too early"),
    "never rounded": (lambda dtype, length, hd: turns_in(torch.float32, length, hd), "should be in torch.bfloat16"),
    "sine first": (lambda dtype, length, hd: turns_in(dtype, length, hd)[::-1], "in this order"),
    "columns": (lambda dtype, length, hd: tuple(x.T for x in turns_in(dtype, length, hd)), "one row per position"),
    "one tensor": (lambda dtype, length, hd: turns_in(dtype, length, hd)[0], "two tensors"),
    "always bfloat16": (lambda dtype, length, hd: turns_in(torch.bfloat16, length, hd), "argument dtype"),
}

BASE_MUTANTS = {
    "times the factor": (lambda theta, factor, hd: theta * factor, "nearly right"),
    "divided": (lambda theta, factor, hd: theta / factor, "turns faster"),
    "upside down": (lambda theta, factor, hd: theta * factor ** ((hd - 2) / hd), "upside down"),
    "unchanged": (lambda theta, factor, hd: theta, "old base"),
    "squared": (lambda theta, factor, hd: theta * factor**2, "not 4 times"),
    "one width": (lambda theta, factor, hd: longer_base(theta, factor, 64), "all three"),
    "nothing": (lambda theta, factor, hd: None, "one number"),
}

MUTANTS = {
    "rope.turn": TURN_MUTANTS,
    "rope.half_split_order": ORDER_MUTANTS,
    "rope.pairs_that_turn": PAIRS_MUTANTS,
    "rope.turns_in": TABLE_MUTANTS,
    "rope.longer_base": BASE_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    x = torch.randn(64, generator=torch.Generator().manual_seed(0))
    table = rope_table(301, 64)
    ours = apply_rope(x.expand(1, 301, 1, 64), table)[0, :, 0]  # [301, 64]
    assert torch.allclose(turn(x, 300, 10_000.0), ours[300], atol=1e-4)
    assert torch.equal(x[half_split_order(64)], to_half_split(x, heads=1))
    cos, sin = turns_in(torch.float32, 301, 64)
    assert torch.allclose(torch.complex(cos, sin), table, atol=1e-4)
    assert longer_base(10_000.0, 4.0, 64) == pytest.approx(NTKScaling(4.0).theta(10_000.0, 64))
    assert pairs_that_turn(64, 10_000.0, 301) == int((301 * rope_frequencies(64) >= 2 * math.pi).sum())
