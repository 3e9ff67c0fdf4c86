"""Real latents and the codes meant for them, seen from the side on which the latents spread most.

Notation: n latents, K codes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.plots.codebook import INK, _dots
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def latents_figure(views: Sequence[tuple[str, Tensor, Tensor, Tensor]]) -> Figure:
    """Draw latents and codes in the plane of the two directions in which the LAST view's latents vary most.

    The projection only serves the drawing: it chooses the side from which D dimensions are seen.

    Args:
        views: (title, latents `[n, D]`, codes `[K, D]`, hits `[K]`) each; all share the directions and the scale.
    """
    from matplotlib.figure import Figure

    last = views[-1][1].double()
    centre = last.mean(0)
    directions = torch.linalg.svd(last - centre, full_matrices=False).Vh[:2].T  # [D, 2]
    flat = [[(places.double() - centre) @ directions for places in (z, codes)] for _, z, codes, _ in views]
    # A few stray latents would shrink the rest to a speck: they may fall outside.
    reach = 1.1 * max(float(torch.cat(pair).abs().quantile(0.995)) for pair in flat)
    figure = Figure(figsize=(3.4 * len(views), 3.8), layout="constrained")
    for axes, view, (z, codes) in zip(figure.subplots(1, len(views), squeeze=False)[0], views, flat, strict=True):
        used = view[3] > 0  # [K]
        _dots(axes, z, s=4, color=PALETTE[0], alpha=0.25, linewidth=0, label="latents")
        _dots(axes, codes[~used], s=18, marker="x", color=INK, linewidth=1, zorder=4, label="dead codes")
        style = {"s": 18, "facecolor": "white", "edgecolor": PALETTE[1], "linewidth": 1.2, "zorder": 3}
        _dots(axes, codes[used], label="codes in use", **style)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_title(view[0], fontsize=10)
        axes.tick_params(labelsize=8)
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    for handle in legend.legend_handles:
        handle.set(alpha=1, sizes=[22])  # type: ignore[union-attr]
    return figure
