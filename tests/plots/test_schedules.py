"""Schedules as meant and as they run, against torch's own schedulers stepped wrongly."""

from __future__ import annotations

import numpy as np

from motionlab.plots.curves import figure_to_png
from motionlab.plots.schedules import schedule_figure
from motionlab.views.schedules import (
    COUNTS,
    compare_schedules,
    published_decoder,
)


def test_the_figure_shows_both_rates() -> None:
    one = compare_schedules(steps=10, warmup_steps=2, accumulation=2, counted=COUNTS[1])
    axes = schedule_figure(one, published_decoder()).axes
    lines = {line.get_label(): line for line in axes[0].lines}
    assert tuple(np.asarray(lines["as it runs"].get_ydata())) == one.real
    assert tuple(np.asarray(lines["as meant"].get_ydata())) == one.meant
    assert len(axes) == 2 and figure_to_png(schedule_figure(one, log_y=False)).startswith(b"\x89PNG")
