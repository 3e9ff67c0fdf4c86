"""Latents before and after a training are drawn alike."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from motionlab.views.latents import latents_figure


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
