"""The best path of labels: against trying all of them."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from motionlab.evaluation.label_path import best_path


def worth(table, path, cost):
    changes = sum(a != b for a, b in zip(path, path[1:], strict=False))
    return sum(float(row[label]) for row, label in zip(table, path, strict=True)) - cost * changes


@pytest.mark.parametrize("cost", [0.0, 0.3, 1.0, 5.0])
def test_no_other_path_is_better(cost):
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        table = torch.randn(5, 3, generator=generator, dtype=torch.float64)
        best = max(product(range(3), repeat=5), key=lambda path: worth(table, path, cost))
        assert worth(table, best_path(table, cost), cost) == pytest.approx(worth(table, best, cost))


def test_without_a_cost_it_is_the_best_label_of_every_frame():
    table = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    assert best_path(table, 0.0) == table.argmax(-1).tolist()
    assert len(set(best_path(table, 1e9))) == 1
    assert best_path(table[:0], 1.0) == []
