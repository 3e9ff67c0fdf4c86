"""A learned codebook in a picture: a plane whose codes a reader moves.

Planes in, figures out: `views.codebook` computes. Notation: n dots, K codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from motionlab.plots.player import PALETTE
from motionlab.plots.quantizer_cells import REACH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from motionlab.quantizers.usage import Usage

TINTS = ("#dbe7fb", "#fbe3d6", "#dcefe6", "#eae3fa", "#f6edd2", "#e7eaee", "#fadfe9")
INK, GREY = "#24292f", "#6e7781"


@dataclass(frozen=True)
class Plane:
    """Dots, codes and one watched vector, with everything that follows from their places.

    Fields:
        points: `[n, 2]` what an encoder gives. codes: `[K, 2]`.
        owner: `[n]` the code of each dot. hits: `[K]` dots of each code. usage: the same counts as numbers.
        owners: `[240, 240]` the code that owns each place of the plane; row 0 is y = -REACH.
        means: `[K, 2]` mean of the dots of each code; a dead code has its own place there.
        code_pull: `[K, 2]` descent direction of the codebook loss; zero for a dead code.
        distance: mean squared distance of a dot to its code.
        probe, target: `[2]` the watched vector z, and where the decoder wants its code: L(c) = |c - target|^2.
        token: the code of the probe.
        decoder_pull, commitment_pull: `[2]` what moves the probe: the copied gradient, and the commitment loss.
    """

    points: Tensor
    codes: Tensor
    owner: Tensor
    hits: Tensor
    usage: Usage
    owners: Tensor
    means: Tensor
    code_pull: Tensor
    distance: float
    probe: Tensor
    target: Tensor
    token: int
    decoder_pull: Tensor
    commitment_pull: Tensor


def codebook_figure(*planes: Plane, titles: Sequence[str] = ()) -> Figure:
    """Draw planes in a row: cells, dots, codes with their number of dots, crosses for dead codes, and the arrows.

    Thin arrows: where each code is pulled. The diamond is the probe, the star its target. Of the two thick arrows at
    the diamond, the first is the copied gradient of the decoder, the second the commitment loss.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.9 * len(planes), 4.1), layout="constrained")
    for i, axes in enumerate(figure.subplots(1, len(planes), squeeze=False)[0]):
        usage = planes[i].usage
        _draw_plane(axes, planes[i])
        text = f"{usage.used} of {len(usage.histogram)} codes used"
        axes.set_title(f"{titles[i]}: {text}" if i < len(titles) else text, fontsize=10)
    return figure


def _draw_plane(axes: Axes, plane: Plane) -> None:
    owner = plane.owners
    edges = torch.zeros_like(owner, dtype=torch.bool)
    edges[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    edges[1:, :] |= owner[1:, :] != owner[:-1, :]
    pixels = torch.tensor([[int(tint[i : i + 2], 16) for i in (1, 3, 5)] for tint in TINTS])[owner % len(TINTS)]
    pixels[edges] = 150
    axes.imshow(pixels.numpy().astype("uint8"), origin="lower", extent=(-REACH, REACH, -REACH, REACH))
    _dots(axes, plane.points, s=6, color=PALETTE[0], alpha=0.6, linewidth=0)
    used = plane.hits > 0
    _dots(axes, plane.codes[~used], s=40, marker="x", color=GREY, linewidth=1.4, zorder=3)
    _dots(axes, plane.codes[used], s=46, facecolor="white", edgecolor=PALETTE[1], linewidth=1.6, zorder=4)
    for place, mean, hits in zip(plane.codes[used], plane.means[used], plane.hits[used].tolist(), strict=True):
        _arrow(axes, place, mean - place, PALETTE[1], 1.0)
        x, y = place.tolist()
        axes.annotate(str(hits), (x, y), (6, 5), textcoords="offset points", fontsize=8, color=INK, zorder=5)
    _arrow(axes, plane.codes[plane.token], plane.decoder_pull / 2, PALETTE[2], 1.2, "--")
    _arrow(axes, plane.probe, plane.decoder_pull / 2, PALETTE[2], 2.2)
    _arrow(axes, plane.probe, plane.commitment_pull / 2, PALETTE[3], 2.2)
    _dots(axes, plane.probe[None], s=60, marker="D", facecolor="white", edgecolor=INK, linewidth=1.6, zorder=6)
    _dots(axes, plane.target[None], s=130, marker="*", color=PALETTE[2], zorder=6)
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xlabel="latent 1", ylabel="latent 2")


def _dots(axes: Axes, places: Tensor, **style: Any) -> None:
    axes.scatter(places[:, 0].numpy(), places[:, 1].numpy(), **style)


def _arrow(axes: Axes, start: Tensor, step: Tensor, color: str, width: float, style: str = "-") -> None:
    if step.norm() < 0.05:  # too short to have a direction
        return
    (x, y), (dx, dy) = start.tolist(), step.tolist()
    line = {"arrowstyle": "->", "color": color, "linewidth": width, "linestyle": style, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x + dx, y + dy), (x, y), arrowprops=line, zorder=5)
