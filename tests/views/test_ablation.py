"""Rows that a reader chose, and their means over the seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from motionlab.errors import InputError
from motionlab.jobs.ablations.results import Row
from motionlab.jobs.ablations.tokenizer_point import Result, canonical
from motionlab.views.ablation import SIZE, compute_ablation

NUMBERS = Result(70.0, 180.0, 5.0, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387.0, 30.0)


def row(kind: str, size: int, seed: int, error: float) -> Row:
    point = canonical({"quantizer": kind, "codebook_size": size, "seed": seed})
    return Row(point, replace(NUMBERS, mpjpe_heading_mm=error))


ROWS = [
    row("fsq", 256, 0, 80.0), row("fsq", 256, 1, 83.0), row("fsq", SIZE, 0, 70.0), row("vq_ema", SIZE, 0, 60.0),
]  # fmt: skip


def test_means_and_spreads_over_the_seeds() -> None:
    view = compute_ablation(ROWS, [], x="codebook_size", y="mpjpe_heading_mm", kinds=("fsq",))
    assert view.spreads == {"fsq": {256: (81.5, 80.0, 83.0), SIZE: (70.0, 70.0, 70.0)}} and view.seeds == 2
    assert view.means == {("fsq", 256): 81.5, ("fsq", SIZE): 70.0} and view.rows == ROWS[:3]


def test_side_by_side_all_quantizers_are_shown_at_one_size() -> None:
    live = [row("vq_ema", SIZE, 5, 99.0), row("vq_ema", 256, 5, 98.0)]
    view = compute_ablation(ROWS, live, x="quantizer", y="mpjpe_heading_mm", kinds=())
    assert view.rows == ROWS[2:] and view.live == live[:1]


def test_no_line_is_an_error() -> None:
    with pytest.raises(InputError, match="one or more"):
        compute_ablation(ROWS, [], x="codebook_size", y="mpjpe_heading_mm", kinds=())
