"""Random numbers that belong to a row."""

from __future__ import annotations

import numpy as np
import torch

from motionlab.llama.row_draws import RowDraws, row_seeds


def draws(count: int, purpose: int = 0) -> RowDraws:
    return RowDraws(torch.from_numpy(row_seeds(3, np.arange(count), purpose).view(np.int64)))


def test_uniform_and_without_relation() -> None:
    one = draws(2000)
    first, second, other = one.uniform(50), one.uniform(50), draws(2000, purpose=1).uniform(50)
    assert 0 <= float(first.min()) and float(first.max()) < 1
    cells = torch.histc(first, 100, 0, 1)  # 1,000 expected in each
    assert float(((cells - 1000) ** 2 / 1000).sum()) < 150  # chi-square with 99 degrees; 0.1 % lie above 149
    for a, b in ((first, second), (first, other), (first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.015  # 4.6 deviations


def test_a_row_draws_the_same_in_every_batch() -> None:
    seeds = torch.from_numpy(row_seeds(3, np.array([8, 2, 5]), 0).view(np.int64))
    whole, part = RowDraws(seeds, shared=4), RowDraws(seeds[[2, 0]], shared=4)
    for _ in range(3):
        assert torch.equal(whole.uniform(30)[[2, 0], :9], part.uniform(9))
    assert torch.equal(whole.uniform(2, shared=True), part.uniform(2, shared=True))
    assert not torch.equal(RowDraws(seeds, shared=5).uniform(2, shared=True), RowDraws(seeds).uniform(2, shared=True))


def test_the_largest_seed_and_large_numbers_of_rows() -> None:
    assert len(set(row_seeds(2**64 - 1, np.array([0, 1, 2**62]), 2).tolist())) == 3
