"""Pictures of scores: every number is where its row and column say."""

from __future__ import annotations

import pytest

from motionlab.plots.curves import figure_to_svg
from motionlab.plots.scores import action_bars, confusion_figure


def test_a_confusion_matrix_has_a_row_for_each_action_and_a_column_for_each_name():
    figure = confusion_figure({"walk": {"walk": 0.75, "none of these": 0.25}, "kick": {"kick": 1.0}}, title="judge")
    axes = figure.axes[0]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    assert columns == ["walk", "kick", "none of these"]
    told = {(text.get_position()[1], columns[int(text.get_position()[0])]): text.get_text() for text in axes.texts}
    assert told == {(0, "walk"): "75", (0, "none of these"): "25", (1, "kick"): "100"}
    assert "judge" in figure_to_svg(figure)


def test_bars_have_the_length_of_their_share():
    figure = action_bars({"real": {"walk": 1.0, "kick": 0.5}, "generated": {"walk": 0.25}})
    axes = figure.axes[0]
    assert sorted(bar.get_extents().transformed(axes.transData.inverted()).width for bar in axes.patches) == (
        pytest.approx([0.25, 0.5, 1.0])
    )
    assert axes.get_legend_handles_labels()[1] == ["real", "generated"]


def test_the_legend_lies_over_no_bar() -> None:
    figure = action_bars({"real": {"walk": 1.0, "kick": 1.0}, "generated": {"walk": 1.0, "kick": 1.0}})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(figure.axes[0].get_window_extent())
