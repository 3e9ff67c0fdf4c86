"""Figures hold the numbers they were given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from motionlab.plots.curves import (
    figure_to_png,
    figure_to_svg,
    learning_rate_figure,
    line_figure,
    loss_figure,
    usage_figure,
)


def test_lines_keep_their_numbers() -> None:
    figure = loss_figure({"FSQ": ([1, 2, 3], [0.5, 0.3, 0.2]), "VQ": ([1, 2], [0.6, 0.4])})
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["FSQ", "VQ"]
    assert np.asarray(lines[0].get_ydata()).tolist() == [0.5, 0.3, 0.2]
    assert figure.axes[0].get_yscale() == "log"


def test_one_point_is_seen() -> None:
    figure = line_figure({"one": ([1], [0.5]), "two": ([1, 2], [0.5, 0.4])}, x_label="step", y_label="loss")
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o", "None"]


def test_a_loss_of_zero_is_drawn_on_a_plain_axis() -> None:
    assert loss_figure({"VQ": ([1, 2], [0.0, 0.4])}).axes[0].get_yscale() == "linear"
    assert learning_rate_figure([1, 2], [0.0, 1e-3]).axes[0].get_yscale() == "linear"


def test_codebook_sizes_stand_on_powers_of_two() -> None:
    figure = line_figure({"FSQ": ([64, 256], [1, 2])}, x_label="codes", y_label="mm", log_x=True, markers=True)
    assert figure.axes[0].get_xscale() == "log"


def test_usage_is_sorted_and_counts_dead_codes() -> None:
    figure = usage_figure({"VQ": np.array([0, 6, 0, 2])})
    (line,) = figure.axes[0].lines
    assert np.asarray(line.get_ydata()).tolist() == [0.75, 0.25]
    assert np.asarray(line.get_xdata()).tolist() == [25.0, 50.0]
    assert line.get_label() == "VQ: 2 of 4 used"


def test_pictures_are_repeatable() -> None:
    def figure():
        return usage_figure({"FSQ": np.array([3, 1])})

    svg = figure_to_svg(figure())
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    assert svg == figure_to_svg(figure())
    assert figure_to_png(figure()).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", [figure_to_svg, figure_to_png])
def test_a_drawn_figure_leaves_no_open_font(draw: Callable[[Figure], object]) -> None:
    """matplotlib's fonts keep every letter of a logarithmic axis: a process that draws for days would grow."""
    figure = loss_figure({"FSQ": ([1, 2, 3], [0.5, 0.03, 0.002])})
    first = draw(figure)
    assert font_manager._get_font.cache_info().currsize == 0  # type: ignore[attr-defined]
    assert draw(figure) == first
