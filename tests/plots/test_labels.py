"""Names and captions from outside are shown as they are written, in every figure and player."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.errors import printable
from motionlab.plots.camera import Camera
from motionlab.plots.curves import figure_to_png, figure_to_svg, line_figure, usage_figure
from motionlab.plots.generation import attention_figure, words_figure
from motionlab.plots.gif import draw_tracks
from motionlab.plots.labels import plain
from motionlab.plots.player import Track, player_page

NAMES = ["$\\frac$", "a $ b $ c", "_hidden", "\x1b[31m", "\ud800", "é ≈", "a\nb"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn(name: str) -> None:
    figure = line_figure({name: ([1, 2], [1, 2]), "other": ([1, 2], [2, 1])}, x_label=name, y_label=name, title=name)
    legend = figure.axes[0].get_legend()
    assert legend is not None and len(legend.get_texts()) == 2
    assert figure_to_png(figure) and printable(figure_to_svg(figure), lines=True)
    figure_to_svg(usage_figure({name: [1, 2]}, title=name)).encode()
    figure_to_svg(attention_figure([name], np.ones((2, 1)), title=name)).encode()
    figure_to_svg(words_figure({name: 0.5}, {name: 0.5})).encode()


@pytest.mark.parametrize("name", NAMES)
def test_any_caption_can_be_played(name: str) -> None:
    track = Track(name, np.zeros((2, 22, 3)))
    player_page([track], name).encode()
    assert draw_tracks([track], 0, Camera(64)).size == (64, 64)


def test_usual_names_stay_as_they_are() -> None:
    for name in ("FSQ", "val_loss", "a person's walk, 50 %", ""):
        assert plain(name) == name
