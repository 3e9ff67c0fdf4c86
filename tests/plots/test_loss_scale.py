"""The life of a scale, against torch's own GradScaler."""

from __future__ import annotations

import math

import numpy as np

from motionlab.plots.loss_scale import Gradients, life_figure
from motionlab.views.loss_scale import live


def _with_ceilings(ceilings: list[float]) -> Gradients:
    return Gradients("test", (0, 10), tuple(ceilings), ((0.5, 0.0),) * len(ceilings))


def test_the_figure_marks_the_skipped_steps() -> None:
    life = live(_with_ceilings([9.5, 7.5, 9.5, 9.5]), init_scale=2.0**9, growth_interval=2)
    top, bottom = life_figure(life).axes
    lines = {line.get_label(): line for line in top.lines}
    assert list(np.asarray(lines["skipped step"].get_xdata())) == [1]
    assert list(np.asarray(lines["scale"].get_ydata())) == [9, 9, 8, 8]
    assert math.isnan(np.asarray(bottom.lines[0].get_ydata())[1])
