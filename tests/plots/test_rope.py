"""The pictures of rotary positions show the table that attention uses."""

from __future__ import annotations

import numpy as np

from motionlab.llama.rope import rope_table
from motionlab.plots.rope import rope_figure, table_figure
from motionlab.views.rope import compute_rope


def test_figures_show_the_numbers() -> None:
    view = compute_rope(40, 33, 4)
    figure = rope_figure(view)
    assert len(figure.axes) == 3 and "one turn in 20 positions" in figure.axes[0].get_title()
    mark = np.asarray(figure.axes[2].lines[1].get_data())  # [2, 1]: x and y
    assert tuple(mark[:, 0]) == (-7, view.score)
    image = table_figure(rope_table(10, 8), "cosines").axes[0].images[0].get_array()
    assert image is not None and image.shape == (4, 10) and image[:, 0].tolist() == [1, 1, 1, 1]
