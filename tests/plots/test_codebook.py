"""The plane of lesson 02: what its arrows claim is what autograd says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from motionlab.plots.codebook import codebook_figure, latents_figure
from motionlab.views.codebook import compute_plane

CODES = [[-1.0, 0.5], [0.2, -0.3], [1.1, 0.4], [3.9, -3.9]]  # the last one is dead


def test_the_figure_counts_and_draws_arrows() -> None:
    plane = compute_plane(CODES)
    axes = codebook_figure(plane, plane, titles=["now"]).axes
    assert [a.get_title() for a in axes] == ["now: 3 of 4 codes used", "3 of 4 codes used"]
    texts = [text.get_text() for text in axes[0].texts]
    assert [text for text in texts if text] == [str(hits) for hits in plane.hits.tolist() if hits]


def test_latents_share_directions_and_scale() -> None:
    z = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 3.0, 1.0, 1.0, 1.0])
    codes, hits = z[:4], torch.tensor([5, 0, 0, 1])
    left, right = latents_figure([("before", z / 10, codes / 10, hits), ("after", z, codes, hits)]).axes
    assert left.get_xlim() == right.get_xlim()
    latents, dead, used = right.collections
    assert (len(np.asarray(dead.get_offsets())), len(np.asarray(used.get_offsets()))) == (2, 2)
    assert tuple(np.asarray(dead.get_edgecolor())[0, :3]) == to_rgb("#24292f")
    first = np.asarray(latents.get_offsets())[:, 0]  # the direction that is the widest
    assert first.std() == pytest.approx(9.0, rel=0.1)
