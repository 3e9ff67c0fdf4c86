"""The picture agrees with what the package does."""

from __future__ import annotations

from motionlab.plots.curves import figure_to_png
from motionlab.plots.strategy_view import painted_figure
from motionlab.views.strategy_view import KINDS, paint


def test_the_picture(tmp_path) -> None:
    for kind in KINDS:
        figure = painted_figure(paint(kind, 0.5))
        assert figure_to_png(figure).startswith(b"\x89PNG")
        words = [text.get_text() for text in figure.axes[0].texts]
        assert words.count("T") == 14
    assert words.count("?") == paint("masked modelling").count("MASK")
