"""Properties of levels: thresholds, shares and bits, against closed forms and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from motionlab.errors import InputError
from motionlab.plots.curves import figure_to_png
from motionlab.plots.levels import levels_figure
from motionlab.views.levels import compute_levels


def test_the_figure_shows_the_numbers() -> None:
    view = compute_levels((4, 3), "ifsq", 0.9)
    curve, shares, grid = levels_figure(view, 2).axes
    assert [bar.get_height() for bar in shares.patches if isinstance(bar, Rectangle)] == view.shares[1]
    dotted = [np.asarray(line.get_xdata())[0] for line in curve.lines if line.get_linestyle() == ":"]
    assert dotted == view.thresholds[1]
    assert grid.get_title() == "12 codes of dimensions 2 and 1"
    assert len(np.asarray(grid.collections[1].get_offsets())) == 12
    assert figure_to_png(levels_figure(compute_levels((5,)))).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="tanh"):
        compute_levels((5,), "tanh")
