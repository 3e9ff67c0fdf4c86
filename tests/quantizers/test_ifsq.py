"""The bound of iFSQ, and what it does to normally distributed numbers."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.quantizers.fsq import EPS, FSQ
from motionlab.quantizers.ifsq import IFSQ


@pytest.mark.parametrize("level", [3, 5, 9])
def test_the_bound_is_the_published_one(level: int) -> None:
    z = torch.linspace(-6, 6, 1001, dtype=torch.float64).unsqueeze(1)
    expected = (2 * torch.sigmoid(1.6 * z) - 1) * (level - 1) * (1 + EPS) / 2
    torch.testing.assert_close(IFSQ((level,), 4).double().bound(z), expected)


def test_it_is_fsq_of_a_smaller_input() -> None:
    torch.manual_seed(0)
    ifsq, fsq = IFSQ((8, 5), 6), FSQ((8, 5), 6)
    fsq.load_state_dict(ifsq.state_dict())
    with torch.no_grad():
        for parameter in fsq.project_in.parameters():
            parameter.mul_(0.8)
    z = torch.randn(500, 6)
    assert torch.equal(ifsq(z).indices, fsq(z).indices)


def shares(kind: type[FSQ], level: int) -> torch.Tensor:
    """How often each level is hit when z is normally distributed, by the exact quantiles."""
    p = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    z = torch.special.ndtri(p).unsqueeze(1)
    steps = kind((level,), 4).double().bound(z).round().long() + level // 2
    return torch.bincount(steps.flatten(), minlength=level) / len(p)


@pytest.mark.parametrize("level", [5, 9, 17])
def test_inner_levels_are_even_and_the_outermost_get_half(level: int) -> None:
    """The claim of the module: iFSQ evens out the inner levels, and over all levels FSQ is the more even one."""
    flat, plain = shares(IFSQ, level), shares(FSQ, level)
    inner = flat[1:-1]
    assert float(inner.max() / inner.min()) < 1.15 < float(plain[1:-1].max() / plain[1:-1].min())
    assert 0.2 < float(flat[0] / inner.mean()) < 0.5
    evenness = [float(-(p * p.log2()).sum()) / math.log2(level) for p in (flat, plain)]
    assert evenness[0] < evenness[1]
    if level == 5:
        assert evenness == pytest.approx([0.957, 0.993], abs=5e-4)
