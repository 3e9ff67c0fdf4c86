"""Iterative decoding, drawn look by look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def unmask_figure(trace: Sequence[Tensor], mask_token: int, *, title: str = "") -> Figure:
    """Iterative decoding: one line per look, from all masked to all written.

    Args:
        trace: the codes of one motion before the first look and after each, int64 `[N]`.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    looks, places = len(trace), len(trace[0])
    states = np.zeros((looks, places))
    for i, codes in enumerate(trace):
        fixed = (codes != mask_token).numpy()
        new = fixed & ((trace[i - 1] == mask_token).numpy() if i else fixed)
        states[i] = fixed.astype(float) + new
    figure = Figure(figsize=(0.34 * places + 1.2, 0.3 * looks + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.imshow(states, cmap=ListedColormap(["#57606a", "#d8e8ff", "#f7c873"]), vmin=0, vmax=2, aspect="auto")
    for i, codes in enumerate(trace):
        for place in range(places):
            masked = int(codes[place]) == mask_token
            word, colour = ("?", "white") if masked else (str(int(codes[place])), "#24292f")
            axes.text(place, i, word, ha="center", va="center", fontsize=8, color=colour)
    axes.set_yticks(range(looks), ["start", *(f"look {i}" for i in range(1, looks))])
    axes.set(xlabel="place of the code", title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
