"""The checks of lesson 03: the reference passes, and each typical mistake gets the message that names it."""

from __future__ import annotations

import math

import pytest
import torch

from lessons.fsq_vs_vq_vae.exercises import bits_per_frame, level_shares, perplexity, steps_to_index
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.usage import CodeUsage
from motionlab.views.levels import compute_levels, squeeze

ROUND_MUTANTS = {
    "no gradient": (lambda x: x.round(), "gradient is zero"),
    "the wrong part detached": (lambda x: x.round() + (x - x).detach(), "gradient is zero"),
    "everything detached": (lambda x: x.round().detach(), "cut off from x"),
    "nothing rounded": (lambda x: x + (x.round() - x) - (x.round() - x).detach(), "nothing is rounded"),
    "rounded down": (lambda x: x + (x.floor() - x).detach(), "rounds down"),
    "gradient doubled": (lambda x: 2 * x + (x.round() - 2 * x).detach(), "multiplied by 2"),
    "scaled": (lambda x: x + (2 * x.round() - x).detach(), "forward value is wrong"),
    "a number": (lambda x: 3.0, "should be a tensor"),
    "broken": (lambda x: x.rounds(), "raised AttributeError"),
}


def _weights(levels):
    return torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])


def _half(levels):
    return torch.tensor([level // 2 for level in levels])


def _last_fastest(steps, levels):
    weights = torch.tensor([math.prod(levels[i + 1 :]) for i in range(len(levels))])
    return ((steps.long() + _half(levels)) * weights).sum(-1)


INDEX_MUTANTS = {
    "last dimension fastest": (_last_fastest, "LAST dimension runs fastest"),
    "not shifted": (lambda s, levels: (s.long() * _weights(levels)).sum(-1), "negative"),
    "no weights": (lambda s, levels: (s.long() + _half(levels)).sum(-1), "two codes share one"),
    "weights of one base": (
        lambda s, levels: ((s.long() + _half(levels)) * torch.tensor([1, 8, 64, 512, 4096, 32768])[: len(levels)]).sum(
            -1
        ),
        "only 200 codes",
    ),
    "left as a float": (
        lambda s, levels: ((s + _half(levels)) * _weights(levels)).sum(-1),
        "whole number",
    ),
    "not summed": (lambda s, levels: (s.long() + _half(levels)) * _weights(levels), "shape"),
    "in bfloat16": (
        lambda s, levels: ((s + _half(levels)).bfloat16() * _weights(levels).bfloat16()).sum(-1).long(),
        "44836",
    ),
}


def _p(indices, size):
    return torch.bincount(indices.reshape(-1), minlength=size) / indices.numel()


PERPLEXITY_MUTANTS = {
    "entropy in bits": (lambda i, k: -(_p(i, k) * _p(i, k).log2()).sum(), "entropy in bits"),
    "entropy in nats": (lambda i, k: -(_p(i, k) * _p(i, k).log()).sum(), "entropy in nats"),
    "mixed bases": (lambda i, k: 2 ** -(_p(i, k) * _p(i, k).log()).sum(), "do not fit together"),
    "sign lost": (lambda i, k: 2 ** (_p(i, k) * _p(i, k).log2()).sum(), "sign is wrong"),
    "zeros kept": (lambda i, k: 2 ** -(_p(i, k) * _p(i, k).log2()).sum(), "nan"),
    "share of used codes": (lambda i, k: len(i.unique()) / k, "share of codes"),
    "number of used codes": (lambda i, k: float(len(i.unique())), "counts the used codes"),
    "a histogram": (lambda i, k: _p(i, k), "one number"),
}


BITS_MUTANTS = {
    "of a token": (lambda levels, down_t: math.log2(math.prod(levels)), "bits of a token"),
    "nominal size": (lambda levels, down_t: 16 / 2**down_t, "64,000"),
    "natural logarithm": (lambda levels, down_t: math.log(math.prod(levels)) / 2**down_t, "nats"),
    "sum of levels": (lambda levels, down_t: math.log2(sum(levels)) / 2**down_t, "added the levels"),
    "no logarithm": (lambda levels, down_t: math.prod(levels) / 2**down_t, "number of codes"),
    "always two frames": (lambda levels, down_t: math.log2(math.prod(levels)) / 2, "2 ** down_t"),
    "multiplied": (lambda levels, down_t: math.log2(math.prod(levels)) * 2**down_t, "should give 7.983"),
    "nothing": (lambda levels, down_t: None, "one number"),
}  # fmt: skip

SHARES_MUTANTS = {
    "no minlength": (lambda b, n: torch.bincount(b.round().long() + n // 2) / len(b), "minlength"),
    "counts": (lambda b, n: torch.bincount(b.round().long() + n // 2, minlength=n), "these are counts"),
    "cut, not rounded": (lambda b, n: torch.bincount(b.long() + n // 2, minlength=n) / len(b), "cuts the fraction"),
    "rounded down": (lambda b, n: torch.bincount(b.floor().long() + n // 2, minlength=n) / len(b), "floor rounds"),
    "reversed": (lambda b, n: level_shares(b, n).flip(0), "reversed"),
    "shifted by half": (lambda b, n: torch.bincount(b.round().long() + (n - 1) // 2, minlength=n) / len(b), "raised"),
    "not shifted": (lambda b, n: torch.bincount(b.round().long(), minlength=n) / len(b), "raised"),
    "divided by the levels": (lambda b, n: torch.bincount(b.round().long() + n // 2, minlength=n) / n, "should be 1"),
    "a list": (lambda b, n: level_shares(b, n).tolist(), "should be a tensor"),
}

MUTANTS = {
    "fsq.round_ste": ROUND_MUTANTS,
    "fsq.steps_to_index": INDEX_MUTANTS,
    "usage.perplexity": PERPLEXITY_MUTANTS,
    "fsq.bits_per_frame": BITS_MUTANTS,
    "fsq.level_shares": SHARES_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    fsq = FSQ((8, 5, 5, 5), dim=4)
    indices = torch.arange(fsq.codebook_size)
    steps = fsq.indices_to_implicit(indices) * torch.tensor([4, 2, 2, 2])
    assert torch.equal(steps_to_index(steps, (8, 5, 5, 5)), indices)
    drawn = torch.randint(0, 9, (3, 50), generator=torch.Generator().manual_seed(0))
    usage = CodeUsage(16)
    usage.update(drawn)
    assert perplexity(drawn, 16) == pytest.approx(usage.summary().perplexity, rel=1e-9)
    assert bits_per_frame((8, 5, 5, 5), 2) == pytest.approx(FSQ((8, 5, 5, 5), dim=4).bits / 4)
    z = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counted = level_shares(squeeze(z[:, None], (8,), "ifsq")[:, 0], 8)
    assert counted.tolist() == pytest.approx(compute_levels((8,), "ifsq").shares[0], abs=0.01)


def test_ifsq_does_not_fill_the_levels_more_evenly() -> None:
    """The lesson says so: for normal numbers of spread 1 the bound of FSQ gives the higher entropy, at every count."""
    for level in range(3, 17):
        plain, other = (compute_levels((level,), bound).entropy_bits for bound in ("fsq", "ifsq"))
        assert other < plain < math.log2(level)
