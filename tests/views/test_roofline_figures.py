"""The content of the pictures of lesson 15."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from motionlab.cost.parameters import MemoryEstimate
from motionlab.cost.roofline import DATA_SHEETS
from motionlab.plots.curves import figure_to_png
from motionlab.views.roofline_figures import roofline_figure, sharding_figure


def test_a_roof_a_machine_and_a_point_an_operation() -> None:
    machines = [DATA_SHEETS["A100 80 GB"][kind] for kind in ("bf16", "fp32")]
    (axes,) = roofline_figure(machines, {"one token": (1.0, None), "many": (500.0, 1e12)}, title="A100").axes
    roofs = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 1]
    assert [max(np.asarray(roof.get_ydata())) for roof in roofs] == [312e12, 19.5e12]
    legend = axes.get_legend()
    assert legend is not None and "ridge 153 FLOP/byte" in legend.get_texts()[0].get_text()
    points = {line.get_fillstyle(): np.asarray(line.get_ydata())[0] for line in axes.lines if line not in roofs}
    assert points == {"none": 2039e9, "full": 1e12}  # not measured: on the roof, hollow
    assert [text.get_text() for text in axes.texts] == ["one token", "many"]
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_roof_without_points() -> None:
    assert figure_to_png(roofline_figure([DATA_SHEETS["V100"]["fp16"]])).startswith(b"\x89PNG")


def test_bars_add_up_and_the_limit_is_drawn() -> None:
    bars = {"DDP": MemoryEstimate(4 * 10**9, 4 * 10**9, 8 * 10**9), "FSDP": MemoryEstimate(10**9, 10**9, 2 * 10**9)}
    (axes,) = sharding_figure(bars, limit=24e9, limit_name="24 GB").axes
    assert [text.get_text() for text in axes.texts] == ["16.0 GB", "4.0 GB"]
    assert sum(patch.get_width() for patch in axes.patches if isinstance(patch, Rectangle)) == pytest.approx(20)
    legend = axes.get_legend()
    assert legend is not None and "24 GB" in [text.get_text() for text in legend.get_texts()]
    assert axes.get_xlim()[1] > 24 and axes.yaxis_inverted()


@pytest.mark.parametrize(("gigabytes", "starts_at"), [(22, 24), (10, 10), (30, 30)])
def test_the_line_of_the_limit_runs_through_no_number(gigabytes: int, starts_at: int) -> None:
    (axes,) = sharding_figure({"DDP": MemoryEstimate(gigabytes * 10**9, 0, 0)}, limit=24e9).axes
    (number,) = axes.texts
    assert isinstance(number, Annotation) and number.xy[0] == starts_at
