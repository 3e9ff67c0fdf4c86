"""The plane of lesson 02: what its arrows claim is what autograd says."""

from __future__ import annotations

from motionlab.plots.codebook import codebook_figure
from motionlab.views.codebook import compute_plane

CODES = [[-1.0, 0.5], [0.2, -0.3], [1.1, 0.4], [3.9, -3.9]]  # the last one is dead


def test_the_figure_counts_and_draws_arrows() -> None:
    plane = compute_plane(CODES)
    axes = codebook_figure(plane, plane, titles=["now"]).axes
    assert [a.get_title() for a in axes] == ["now: 3 of 4 codes used", "3 of 4 codes used"]
    texts = [text.get_text() for text in axes[0].texts]
    assert [text for text in texts if text] == [str(hits) for hits in plane.hits.tolist() if hits]
