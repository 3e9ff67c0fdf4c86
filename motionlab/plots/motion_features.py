"""The 272 features of a clip in pictures: one slice through time, and the pose that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from motionlab.motion.formats.gait import GROUPS
from motionlab.motion.formats.pfnn import X_COLUMNS, PfnnVectors
from motionlab.motion.skeleton import PARENTS
from motionlab.plots.labels import plain
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREY, _FAINT = "#57606a", "#8c959f"
_LINES = (*PALETTE, _GREY)  # six numbers of a rotation, six gaits


@dataclass(frozen=True)
class FeatureView:
    """One frame of a clip, and a few of its 272 numbers through time.

    Fields:
        clip: name; fps: frames a second; frame: the one that is shown.
        slice_name: which of the five slices; numbers: places in the 272; labels: what each of them is.
        curves: `[T, n]` these numbers through the clip.
        pose: `[22, 3]` metres, as the features hold it: heading removed, pelvis above the origin.
        path: `[T, 2]` metres, x and z of the pelvis, integrated; heading: radians at the frame.
        unit: of the curves.
    """

    clip: str
    fps: float
    frame: int
    slice_name: str
    numbers: list[int]
    labels: list[str]
    curves: Tensor
    pose: Tensor
    path: Tensor
    heading: float
    unit: str


def feature_figure(view: FeatureView) -> Figure:
    """The pose from the front, the path from above, and the chosen numbers through time with a mark at the frame."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 3.3), layout="constrained")
    front, above, right = figure.subplots(1, 3, width_ratios=(0.9, 1.0, 2.0))
    pose = view.pose.numpy()
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            front.plot(pose[[parent, child], 0], pose[[parent, child], 1], color=PALETTE[0], linewidth=2)
    front.set(xlim=(-1.1, 1.1), ylim=(-0.2, 2.0), aspect="equal", xlabel="x (its left is +)", title="from the front")
    _draw_path(above, view.path.numpy())
    x, z = view.path[view.frame].tolist()
    above.plot([x], [z], "o", color=PALETTE[1], markersize=6)
    above.annotate(
        "",
        (x + 0.35 * float(np.sin(view.heading)), z + 0.35 * float(np.cos(view.heading))),
        (x, z),
        arrowprops={"arrowstyle": "-|>", "color": PALETTE[1]},
    )
    above.set_title("path from above", fontsize=10)
    seconds = np.arange(len(view.curves)) / view.fps
    for i, label in enumerate(view.labels):
        right.plot(seconds, view.curves[:, i], label=label, linewidth=1.4, color=_LINES[i])
    right.axvline(view.frame / view.fps, color=_FAINT, linewidth=1, linestyle=":")
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.set(xlabel="seconds", ylabel=view.unit)
    right.set_title(f"{view.slice_name}: numbers {', '.join(map(str, view.numbers))}", fontsize=10)
    for axes in (front, above, right):
        axes.title.set_fontsize(10)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def paths_figure(paths: Mapping[str, Tensor], title: str = "", *, stretch: bool = False) -> Figure:
    """Several paths of a pelvis from above. The first is drawn on top, in black.

    Args:
        paths: name -> `[T, 2]` metres, x and z.
        stretch: let x fill the width, so that a long, nearly straight path shows its bends; the axis says so.

    >>> import torch
    >>> len(paths_figure({"as recorded": torch.zeros(3, 2)}).axes)
    1
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (name, path) in reversed(list(enumerate(paths.items()))):
        _draw_path(
            axes, path.numpy(), color="#1f2328" if i == 0 else PALETTE[(i - 1) % len(PALETTE)], label=plain(name)
        )
    if stretch:
        axes.set_aspect("auto")
        axes.set_xlabel("x, metres (stretched)")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def spread_of_features_figure(spreads: Mapping[str, Tensor], slices: Mapping[str, slice]) -> Figure:
    """A standard deviation for each of the 272 numbers, logarithmic, with the five slices named.

    Args:
        spreads: name -> `[272]`; zeros are drawn at the bottom, as crosses.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 3.2), layout="constrained")
    axes = figure.subplots()
    floor = 1e-5
    for i, (name, values) in enumerate(spreads.items()):
        array = values.numpy()
        alive = array > floor
        places = np.arange(len(array))
        axes.plot(places[alive], array[alive], ".", markersize=3, color=PALETTE[i % len(PALETTE)], label=plain(name))
        if not alive.all():
            axes.plot(
                places[~alive], np.full((~alive).sum(), floor), "x", markersize=4, color=PALETTE[i % len(PALETTE)]
            )
    for name, part in slices.items():
        axes.axvline(part.start - 0.5, color=_FAINT, linewidth=0.7, linestyle=":")
        wide = part.stop - part.start > 20  # a narrow slice has no room for its name: the two are numbers 0 to 7
        if wide:
            axes.text((part.start + part.stop) / 2, 2.0, plain(name), fontsize=8, color=_GREY, ha="center")
    axes.set(yscale="log", ylim=(floor / 2, 4), xlabel="number of the 272", ylabel="standard deviation")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def pfnn_figure(vectors: PfnnVectors, row: int) -> Figure:
    """One vector of a PFNN: the way from above, the pose before it, the gait over two seconds, and the phase.

    Args:
        row: which vector.
    """
    from matplotlib.figure import Figure

    names = {name: i for i, name in enumerate(X_COLUMNS)}
    x = vectors.x[row]

    def window(kind: str) -> tuple[list[int], list[float]]:
        columns = [name for name in X_COLUMNS if name.startswith(f"{kind}_") and name[len(kind) + 1] in "+-"]
        return [int(name.rsplit("_", 1)[1]) for name in columns], [float(x[names[name]]) for name in columns]

    figure = Figure(figsize=(10.4, 3.2), layout="constrained")
    above, front, gait, clock = figure.subplots(1, 4, width_ratios=(1.1, 0.9, 1.5, 0.8))
    (frames, across), (_, ahead) = window("trajectory_x"), window("trajectory_z")
    (_, turned_x), (_, turned_z) = window("trajectory_direction_x"), window("trajectory_direction_z")
    above.quiver(across, ahead, turned_x, turned_z, color=[PALETTE[0] if t <= 0 else PALETTE[1] for t in frames])
    above.set(xlabel="x, cm", ylabel="z, cm", title="the way, blue is past")
    above.set_aspect("equal", adjustable="datalim")
    pose = x[[i for name, i in names.items() if name.startswith("position_")]].view(-1, 3).numpy()
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            front.plot(pose[[parent, child], 0], pose[[parent, child], 1], color=PALETTE[0], linewidth=2)
    front.set(xlim=(-110, 110), ylim=(-20, 200), aspect="equal", xlabel="x, cm", title="pose before")
    for i, group in enumerate(GROUPS):
        places, values = window(f"gait_{group}")
        gait.plot(places, values, marker="o", markersize=3, label=group, color=_LINES[i])
    gait.set(xlabel="frames from now, 60 a second", ylim=(-0.05, 1.05), title="gait")
    gait.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    turn = 2 * np.pi * float(vectors.phase[row])
    circle = np.linspace(0, 2 * np.pi, 100)
    clock.plot(np.sin(circle), np.cos(circle), color=_FAINT, linewidth=1)
    clock.annotate("", (np.sin(turn), np.cos(turn)), (0, 0), arrowprops={"arrowstyle": "-|>", "color": PALETTE[1]})
    clock.set(aspect="equal", title=f"phase {float(vectors.phase[row]):.2f}")
    clock.set_axis_off()
    for axes in (above, front, gait, clock):
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_path(axes: Axes, path: np.ndarray, color: str = PALETTE[0], label: str | None = None) -> None:
    axes.plot(path[:, 0], path[:, 1], color=color, linewidth=1.6, label=label)
    axes.plot(path[:1, 0], path[:1, 1], "s", color=color, markersize=4)
    axes.set(xlabel="x, metres", ylabel="z, metres")
    axes.set_aspect("equal", adjustable="datalim")
