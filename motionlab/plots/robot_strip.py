"""The pictures that a robot saw during episodes, in rows: for a page on which no film runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from motionlab.errors import InputError
from motionlab.plots.labels import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def strip_figure(films: Mapping[str, Sequence[np.ndarray]], moments: int = 8) -> Figure:
    """One row a film, `moments` pictures of it from the first to the last, evenly spaced.

    Args:
        films: title -> pictures `uint8 [H, W, 3]`. Their pixels are shown as they are, without smoothing.

    Raises:
        InputError: no film, or one without pictures.
    """
    from matplotlib.figure import Figure

    if not films or not all(len(pictures) for pictures in films.values()):
        raise InputError("films", found="none, or an empty one", expected="one picture or more", fix="Give pictures.")
    shape = next(iter(films.values()))[0].shape
    side = 1.0
    figure = Figure(figsize=(side * moments * shape[1] / shape[0], (side + 0.28) * len(films)), layout="constrained")
    parts = figure.subfigures(len(films), 1, squeeze=False)[:, 0]
    for part, (title, pictures) in zip(parts, films.items(), strict=True):
        part.suptitle(plain(title), fontsize=9, x=0.01, ha="left")
        chosen = np.round(np.linspace(0, len(pictures) - 1, moments)).astype(int)
        for axes, number in zip(part.subplots(1, moments, squeeze=False)[0], chosen, strict=True):
            axes.imshow(pictures[number], interpolation="nearest")
            axes.set_axis_off()
    return figure
