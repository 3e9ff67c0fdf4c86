"""A plane of two latent numbers, cut up by FSQ and by a learned codebook: what is a code, and which codes are used?

`Cells` in, a figure out: `views.quantizer_cells` quantizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from motionlab.quantizers.usage import Usage

REACH = 4.0  # half the side of the plane that is drawn


@dataclass(frozen=True)
class Cells:
    """Points and the results of both quantizers.

    Fields:
        points: [n, 2] latents.
        fsq_usage, vq_usage: which codes the points fall into.
        vq_codes: [K, 2] places of the learned codes.
        fsq_map, vq_map: [200, 200] index of the code that owns each place of the plane; row 0 is y = -REACH.
    """

    points: Tensor
    fsq_usage: Usage
    vq_usage: Usage
    vq_codes: Tensor
    fsq_map: Tensor
    vq_map: Tensor


def cells_figure(cells: Cells) -> Figure:
    """Draw both planes: cells as tinted areas, points as dots, learned codes as circles, unused ones as crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    usage = cells.fsq_usage
    _draw(left, cells, cells.fsq_map, f"FSQ: {usage.used} of {len(usage.histogram)} cells used")
    usage = cells.vq_usage
    _draw(right, cells, cells.vq_map, f"VQ: {usage.used} of {len(usage.histogram)} codes used")
    alive = (usage.histogram > 0).numpy()
    x, y = cells.vq_codes.numpy().T
    right.scatter(x[alive], y[alive], s=28, facecolor="white", edgecolor=PALETTE[1], linewidth=1.6, zorder=3)
    right.scatter(x[~alive], y[~alive], s=34, marker="x", color="#6e7781", linewidth=1.2, zorder=3)
    return figure


def _draw(axes: Axes, cells: Cells, owner: Tensor, title: str) -> None:
    from matplotlib.colors import ListedColormap

    tints = ListedColormap(["#dbe7fb", "#fbe3d6", "#dcefe6", "#eae3fa", "#f6edd2", "#e7eaee", "#fadfe9"])
    colour = owner * 2654435761 // 128 % 7  # scattered, so that neighbours mostly get different tints
    extent = (-REACH, REACH, -REACH, REACH)
    axes.imshow(colour.numpy(), origin="lower", extent=extent, cmap=tints, vmin=0, vmax=6, interpolation="nearest")
    edges = torch.zeros_like(owner, dtype=torch.float64)
    edges[:, 1:] += owner[:, 1:] != owner[:, :-1]
    edges[1:, :] += owner[1:, :] != owner[:-1, :]
    lines = ListedColormap(["#ffffff00", "#8c959f"])
    axes.imshow((edges > 0).numpy(), origin="lower", extent=extent, cmap=lines, interpolation="nearest")
    x, y = cells.points.numpy().T
    axes.scatter(x, y, s=4, color=PALETTE[0], alpha=0.5, linewidth=0)
    axes.set(title=title, xlabel="latent 1", ylabel="latent 2", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
