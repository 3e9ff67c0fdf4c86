"""The picture of lesson 03: both quantizers on one plane."""

from __future__ import annotations

from motionlab.plots.quantizer_cells import cells_figure
from motionlab.views.quantizer_cells import compute_cells, toy_latents


def test_the_figure_names_both_counts() -> None:
    cells = compute_cells(levels=3)
    titles = [axes.get_title() for axes in cells_figure(cells).axes]
    assert titles[0] == f"FSQ: {cells.fsq_usage.used} of 9 cells used"
    assert titles[1] == f"VQ: {cells.vq_usage.used} of 9 codes used"
    assert toy_latents(1.0, count=7).shape == (7, 2)
