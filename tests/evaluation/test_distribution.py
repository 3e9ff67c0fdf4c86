"""Diversity and multimodality against plain loops, and all metrics under their common name."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation import distribution
from motionlab.evaluation.distribution import diversity, multimodality


def test_all_pairs_equal_the_loop() -> None:
    table = torch.randn(30, 5)
    expected = np.mean([float((table[i] - table[j]).norm()) for i, j in combinations(range(30), 2)])
    assert diversity(table).value == pytest.approx(expected, rel=1e-5)
    lengths = table / table.norm(dim=1, keepdim=True)
    assert diversity(table, unit=True).value == pytest.approx(diversity(lengths).value)
    assert diversity(torch.ones(20, 3)).value == 0


def test_the_interval_is_that_of_draws() -> None:
    table = torch.randn(300, 4) * torch.rand(300, 1)
    found, random, values = diversity(table), np.random.default_rng(0), []
    for _ in range(300):
        rows = torch.from_numpy(random.integers(300, size=300))
        distances = torch.cdist(table[rows], table[rows])
        values.append(float(distances[rows[:, None] != rows].mean()))  # a clip drawn twice is no pair
    assert found.high - found.value == pytest.approx(1.96 * np.std(values), rel=0.15)


def test_drawn_pairs_agree_with_all() -> None:
    table = torch.randn(400, 6)
    everything, drawn = diversity(table), diversity(table, pairs=300)
    assert drawn.value == pytest.approx(everything.value, rel=0.02)
    assert drawn == diversity(table, pairs=300) != diversity(table, pairs=300, seed=1)
    assert drawn.high - drawn.low > everything.high - everything.low and everything.value in drawn


def test_many_clips_use_a_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.randn(400, 6)
    whole = diversity(table, pairs=300)
    monkeypatch.setattr(distribution, "_ENOUGH", 200)
    part = diversity(table, pairs=300)
    assert part.n == 400 and part.high - part.low == pytest.approx(whole.high - whole.low, rel=0.2)


def test_multimodality() -> None:
    motions = torch.randn(7, 6, 5)
    expected = [np.mean([float((m[i] - m[j]).norm()) for i, j in combinations(range(6), 2)]) for m in motions]
    found = multimodality(motions)
    assert found.value == pytest.approx(np.mean(expected), rel=1e-5) and found.n == 7 and found.low < found.value
    random, drawn = np.random.default_rng(0), multimodality(motions, pairs=3, draws=2)
    values = []
    for _ in range(2):
        one, other = random.permutation(6)[:3], random.permutation(6)[:3]
        values.append(float((motions[:, one] - motions[:, other]).norm(dim=-1).mean()))
    assert drawn.value == pytest.approx(np.mean(values), rel=1e-5)
    assert multimodality(motions * 3, unit=True).value == pytest.approx(multimodality(motions, unit=True).value)


def test_wrong_input() -> None:
    with pytest.raises(InputError, match="pairs: found 300, expected 1 to 20"):
        diversity(torch.randn(20, 3), pairs=300)
    with pytest.raises(InputError, match="S >= 2"):
        multimodality(torch.randn(20, 3))
    with pytest.raises(InputError, match="pairs: found 9"):
        multimodality(torch.randn(3, 8, 3), pairs=9)
    with pytest.raises(InputError, match="N >= 2"):
        diversity(torch.randn(1, 3))


def test_one_place_for_all() -> None:
    assert all(callable(getattr(distribution, name)) for name in distribution.__all__)
