"""Reconstruction errors against plain loops and against known displacements."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.evaluation.reconstruction import acceleration_error, mpjpe


def motions(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, 22, 3, generator=random, dtype=torch.float64)
    return a, a + 0.1 * torch.randn(*shape, 22, 3, generator=random, dtype=torch.float64)


def turned(joints: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn every frame about Y through the origin by its own angle."""
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    one = torch.ones_like(angles)
    matrix = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).view(*angles.shape, 3, 3)
    return joints @ matrix.transpose(-1, -2)


def test_pelvis_centred_equals_the_loop() -> None:
    a, b = motions(5)
    expected = 0.0
    for t in range(5):
        for j in range(22):
            p = [float(a[t, j, k] - a[t, 0, k]) - float(b[t, j, k] - b[t, 0, k]) for k in range(3)]
            expected += math.sqrt(sum(v * v for v in p)) / (5 * 22) * 1000
    assert float(mpjpe(a, b)) == pytest.approx(expected)


def test_what_each_alignment_forgives() -> None:
    a, _ = motions(8)
    moved = a + torch.randn(8, 1, 3, dtype=torch.float64)
    spun = turned(moved, torch.linspace(-4, 4, 8, dtype=torch.float64))
    assert float(mpjpe(a, a + torch.tensor([0.0, 0.03, 0.0]), align="none")) == pytest.approx(30)
    assert float(mpjpe(a, moved, align="none")) > 100
    assert float(mpjpe(a, moved)) == pytest.approx(0, abs=1e-9)
    assert float(mpjpe(a, spun)) > 100
    assert float(mpjpe(a, spun, align="heading")) == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_no_other_turn_is_closer(seed: int) -> None:
    """The closed form minimises the squared distance, and either motion may be the one that is turned."""
    a, b = motions(1, seed=seed)
    a, b = a - a[:, :1], b - b[:, :1]
    angles = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)
    all_turns = turned(b.expand(721, 22, 3), angles)
    squares = (a - all_turns).square().sum((-1, -2))
    best = all_turns[squares.argmin()][None]
    assert float(mpjpe(a, b, align="heading")) == pytest.approx(float(mpjpe(a, best)), rel=0.05)
    assert float(mpjpe(a, b, align="heading")) == pytest.approx(float(mpjpe(b, a, align="heading")))


def test_acceleration_equals_the_loop() -> None:
    a, b = motions(6)
    expected = 0.0
    for t in range(1, 5):
        for j in range(22):
            d = [a[t + 1, j] - 2 * a[t, j] + a[t - 1, j], b[t + 1, j] - 2 * b[t, j] + b[t - 1, j]]
            expected += float((d[0] - d[1]).norm()) / (4 * 22) * 1000
    assert float(acceleration_error(a, b)) == pytest.approx(expected)


def test_a_steady_drift_has_no_acceleration() -> None:
    a, _ = motions(10)
    drift = torch.arange(10, dtype=torch.float64).view(10, 1, 1) * 0.05
    assert float(acceleration_error(a, a + drift)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("align", ["pelvis", "heading", "none"])
def test_batches_with_padding_are_clips_alone(align: str) -> None:
    a, b = motions(3, 12)
    lengths = torch.tensor([12, 5, 3])
    for i, length in enumerate(lengths):
        a[i, length:], b[i, length:] = float("nan"), 1e9
    found, trembling = mpjpe(a, b, align, lengths), acceleration_error(a, b, lengths)
    assert found.shape == trembling.shape == (3,)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(found[i], mpjpe(a[i, :length], b[i, :length], align))
        torch.testing.assert_close(trembling[i], acceleration_error(a[i, :length], b[i, :length]))


def test_wrong_input() -> None:
    a, b = motions(4)
    with pytest.raises(InputError, match="joints: found shapes"):
        mpjpe(a, b[:3])
    with pytest.raises(InputError, match=r"joints: found shapes \(4, 272\)"):
        mpjpe(torch.zeros(4, 272), torch.zeros(4, 272))
    with pytest.raises(InputError, match="align: found 'root', expected pelvis or heading or none"):
        mpjpe(a, b, align="root")
    with pytest.raises(InputError, match="found 2 frames, expected 3 or more"):
        acceleration_error(a[:2], b[:2])
    with pytest.raises(InputError, match="lengths: found 0..9"):
        mpjpe(*motions(2, 4), lengths=torch.tensor([0, 9]))
