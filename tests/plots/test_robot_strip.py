"""Films as rows of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.plots.robot_strip import strip_figure


def test_first_and_last_picture_of_each_film_are_shown() -> None:
    films = {name: [np.full((4, 8, 3), i, np.uint8) for i in range(length)] for name, length in (("a", 9), ("b", 2))}
    figure = strip_figure(films, moments=3)
    shown = [int(axes.images[0].get_array()[0, 0, 0]) for axes in figure.axes]  # type: ignore[index]
    assert shown == [0, 4, 8, 0, 0, 1]


def test_nothing_to_show_is_refused() -> None:
    nothing: list[dict[str, list[np.ndarray]]] = [{}, {"a": []}]
    for films in nothing:
        with pytest.raises(InputError, match="films"):
            strip_figure(films)
