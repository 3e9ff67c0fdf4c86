"""Figures about training a tokenizer: its curves, which joints it gets wrong, and how its error grows along a clip.

Pure functions: numbers in, a matplotlib figure out. `views.tokenizer_training` reads the `Curves` of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from motionlab.errors import InputError
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS, canonical_skeleton, forward_kinematics
from motionlab.plots.curves import Line
from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE
from motionlab.quantizers.usage import expected_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curves:
    """The curves in the history of a tokenizer; every line is (x values, y values), empty before the first row.

    Fields:
        x_label: what x is.
        step: the last optimizer step that was written down.
        loss, lr: from every row; the loss is a moving average.
        errors: mean error of held-out clips in mm, by kind of alignment.
        used, perplexity: of the codebook; `used` in percent.
        tokens: how many tokens were counted for them.
    """

    x_label: str
    step: int
    loss: Line
    lr: Line
    errors: Mapping[str, Line]
    used: Line
    perplexity: Line
    tokens: int


def training_figure(curves: Curves, codebook_size: int | None = None) -> Figure:
    """Return four sets of axes: loss, error in millimetres, codes in use, perplexity of the codes.

    Args:
        codebook_size: draws how many codes `tokens` tokens would use if every code were equally likely. A large
            codebook cannot be seen in full with few tokens, and this line says how much of it could be.
    """
    from matplotlib.figure import Figure

    # Fixed margins: a layout engine draws everything twice, and this figure is drawn again and again during training.
    figure = Figure(figsize=(9.0, 5.2))
    (loss, error), (used, perplexity) = figure.subplots(2, 2, sharex=True)
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.1, top=0.94, wspace=0.36, hspace=0.24)
    loss.plot(*curves.loss, color=PALETTE[0], linewidth=1.4)
    loss.set(title="training loss", ylabel="loss")
    rate = loss.twinx()
    rate.plot(*curves.lr, color="#8c959f", linewidth=1.0, linestyle="--")
    rate.set_ylabel("learning rate (dashed)", color="#57606a")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    rate.set_ylim(bottom=0)
    rate.spines[["top"]].set_visible(False)
    for i, (name, points) in enumerate(curves.errors.items()):
        error.plot(*points, color=PALETTE[i], marker="o", markersize=4, linewidth=1.4, label=plain(name))
    error.set(title="reconstruction of held-out clips", ylabel="error (mm)")
    error.set_ylim(bottom=0)
    error.legend(frameon=False)
    used.plot(*curves.used, color=PALETTE[2], marker="o", markersize=4, linewidth=1.4)
    used.set(title=f"codes in use, of {curves.tokens:,} tokens", ylabel="% of the codebook", xlabel=curves.x_label)
    used.set_ylim(0, 105)
    perplexity.plot(*curves.perplexity, color=PALETTE[3], marker="o", markersize=4, linewidth=1.4)
    perplexity.set(title="perplexity of the codes", ylabel="codes", xlabel=curves.x_label)
    perplexity.set_ylim(bottom=0)
    if codebook_size and curves.tokens:
        limit = 100 * expected_share(codebook_size, curves.tokens)
        used.axhline(limit, color="#57606a", linewidth=1.0, linestyle=":")
        used.annotate(
            "if all codes were equally likely", (0.98, limit), xycoords=("axes fraction", "data"),
            xytext=(0, -11), textcoords="offset points", ha="right", fontsize=8, color="#57606a",
        )  # fmt: skip
    for axes in (loss, error, used, perplexity):
        axes.grid(alpha=0.25)
        axes.spines["top"].set_visible(False)
        if axes is not loss:
            axes.spines["right"].set_visible(False)
    return figure


def joints_figure(errors: Any, title: str = "") -> Figure:
    """Return a body whose joints are as large and as dark as their error, next to the same errors as bars.

    Args:
        errors: `[22]` mm, such as `evaluation.anatomy.pose_errors` gives. The pelvis is the origin, so it has no bar.
    """
    import torch
    from matplotlib.figure import Figure

    values = np.asarray(errors, dtype=np.float64)
    if values.shape != (len(JOINT_NAMES),):
        raise InputError("errors", found=f"shape {values.shape}", expected="(22,)", fix="Give one error per joint.")
    skeleton = canonical_skeleton()
    rest = forward_kinematics(torch.eye(3).expand(1, 22, 3, 3), torch.zeros(1, 3), skeleton.offsets)[0].numpy()
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    body, bars = figure.subplots(1, 2, width_ratios=(1.0, 1.25))
    x, y = rest[:, 0], rest[:, 1]  # seen from the front, so the left arm is on the right of the picture
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            body.plot(x[[parent, child]], y[[parent, child]], color="#c9d1d9", linewidth=4, zorder=1)
    largest = max(float(values.max()), 1e-9)
    dots = body.scatter(
        x, y, s=15 + 260 * values / largest, c=values, cmap="YlOrRd", vmin=0, vmax=largest,
        edgecolor="#57606a", linewidth=0.6, zorder=2,
    )  # fmt: skip
    body.set(title=title, aspect="equal")
    body.margins(0.08)
    body.axis("off")
    order = np.argsort(values[1:]) + 1  # without the pelvis
    colors = dots.cmap(values[order] / largest)
    bars.barh([JOINT_NAMES[j].replace("_", " ") for j in order], values[order], color=colors, edgecolor="#8c959f")
    bars.set(xlabel="mean error (mm)")
    bars.tick_params(axis="y", labelsize=8)
    bars.margins(y=0.01)
    bars.spines[["top", "right"]].set_visible(False)
    bars.grid(alpha=0.25, axis="x")
    return figure


def drift_figure(millimetres: Mapping[str, Sequence[float]], degrees: Sequence[float], fps: float = 30.0) -> Figure:
    """Return errors along a clip: millimetres on the left, the heading in degrees on the right.

    Args:
        millimetres: name -> one value per frame.
        degrees: error of the heading, one value per frame.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for i, (name, values) in enumerate(millimetres.items()):
        left.plot(_seconds(values, fps), values, label=plain(name), color=PALETTE[i % len(PALETTE)], linewidth=1.6)
    left.set(xlabel="seconds from the start of the clip", ylabel="mean error (mm)")
    left.legend(frameon=False)
    right.plot(_seconds(degrees, fps), degrees, color=PALETTE[3], linewidth=1.6)
    right.set(xlabel="seconds from the start of the clip", ylabel="heading error (degrees)")
    for axes in (left, right):
        _tidy(axes)
    return figure


def _tidy(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _seconds(values: Sequence[float], fps: float) -> Any:
    return np.arange(len(values)) / fps
