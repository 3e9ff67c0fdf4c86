"""The plane of lesson 03, cut up by both quantizers."""

from __future__ import annotations

import torch

from motionlab.plots.quantizer_cells import REACH
from motionlab.views.quantizer_cells import compute_cells


def test_the_map_and_the_points_agree() -> None:
    """A point and the place of the plane below it have the same FSQ index."""
    cells = compute_cells(levels=5, spread=0.8)
    columns = ((cells.points + REACH) / (2 * REACH) * 199).round().long()
    owners = cells.fsq_map[columns[:, 1], columns[:, 0]]
    histogram = torch.bincount(owners, minlength=25)
    assert (histogram - cells.fsq_usage.histogram).abs().sum() < 0.1 * len(cells.points)  # pixels are coarse


def test_it_is_pure() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = compute_cells(rescue=True), compute_cells(rescue=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.vq_codes, second.vq_codes)


def test_codes_that_start_far_away_die_and_rescue_revives_them() -> None:
    dead = compute_cells(levels=6, spread=0.5, start="far away", rescue=False).vq_usage
    revived = compute_cells(levels=6, spread=0.5, start="far away", rescue=True).vq_usage
    assert dead.used < 0.5 * 36 and revived.used > 0.9 * 36


def test_fsq_uses_more_cells_when_the_points_spread() -> None:
    assert compute_cells(spread=0.1).fsq_usage.used < compute_cells(spread=1.5).fsq_usage.used
