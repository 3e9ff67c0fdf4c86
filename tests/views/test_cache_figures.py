"""The pictures of the cache show the numbers of its formula."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from motionlab.cost.settings import MIB
from motionlab.views.cache_figures import cache_figure, heads_figure
from motionlab.views.kv_cache import compute_cache


def test_figure_holds_the_bytes_and_marks_the_choice() -> None:
    view = compute_cache("44M", share=4, batch=8)
    figure = cache_figure(view)
    heights = [bar.get_height() for bar in figure.axes[1].patches if isinstance(bar, Rectangle)]
    assert heights == pytest.approx([view.settings.bytes_with(groups) / MIB for groups in (8, 4, 2, 1)])
    colors = [bar.get_facecolor() for bar in figure.axes[1].patches]
    assert colors[0] == colors[1] == colors[3] != colors[2]
    assert "groups of 4: 8 queries,\n2 key-value heads" in figure.axes[0].get_title()
    chosen = np.asarray(figure.axes[2].lines[-1].get_data())  # [2, 1]: x and y
    assert tuple(chosen[:, 0]) == (301, view.settings.bytes / MIB)


def test_diagrams_of_many_heads_stay_readable() -> None:
    many, one = heads_figure(64, (64, 1)).axes
    assert "first 16" in many.get_title() and len(many.lines) == 3 * 16
    assert "multi-query" in one.get_title() and one.get_title().endswith("1 key-value head")
