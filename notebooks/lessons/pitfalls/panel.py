"""The panel of lesson 16: choose a fault, see its symptom with and without it, where it was seen, and the fix."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import ipywidgets as W
import numpy as np

from lessons.pitfalls.museum import NAMES, effect, find, seen, verdict
from lessons.pitfalls.pitfall import TOPICS, Pitfall, Seen
from motionlab.plots.player import PALETTE
from motionlab.teaching.expect import about
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 7.9, 3.2  # inches
BROKEN, FIXED = PALETTE[1], PALETTE[0]


class Exhibit(NamedTuple):
    """A fault and what was measured of it."""

    pitfall: Pitfall
    broken: Seen
    fixed: Seen


class PitfallPanel(Panel):
    """Choose a fault by its topic and its name."""

    COLUMNS: ClassVar = 1  # a fault has a long name
    PRESETS: ClassVar = {
        "flattering": {"fault": "chunk_tail"},
        "silent": {"fault": "foreign_tokens"},
        "loud": {"fault": "negative_clip"},
    }

    def make_controls(self) -> dict[str, Any]:
        named = [(f"{topic}: {find(n).title}", n) for topic in TOPICS for n in NAMES if find(n).topic == topic]
        return {
            "fault": W.Dropdown(
                options=named, value=NAMES[0], description="fault", style={"description_width": "60px"}
            ),
            "show": W.ToggleButtons(options=["both", "broken", "fixed"], value="both", description="show"),
        }

    @staticmethod
    def compute(**params: Any) -> tuple[Exhibit, str]:
        return Exhibit(find(params["fault"]), *seen(params["fault"])), params["show"]

    def picture(self, result: tuple[Exhibit, str]) -> Figure:
        return symptom_figure(*result)

    def describe(self, result: tuple[Exhibit, str]) -> str:
        exhibit, _ = result
        pitfall = exhibit.pitfall
        return (
            f"{pitfall.measure}: broken {about(exhibit.broken.number, 3)}, fixed {about(exhibit.fixed.number, 3)} | "
            f"training loss: {effect(exhibit.broken.train, exhibit.fixed.train)}, "
            f"validation: {effect(exhibit.broken.validation, exhibit.fixed.validation)} | "
            f"seen: {pitfall.seen} | fix: {pitfall.fix} | its test tells them apart {verdict(pitfall)}"
        )

    def rows(self, result: tuple[Exhibit, str]) -> Sequence[Sequence[str]]:
        exhibit, _ = result
        pitfall = exhibit.pitfall
        return [
            (pitfall.title, "broken", "fixed"),
            (pitfall.measure, about(exhibit.broken.number, 3), about(exhibit.fixed.number, 3)),
            ("seen", pitfall.seen, ""),
            ("fix", "", pitfall.fix),
        ]


def symptom_figure(exhibit: Exhibit, show: str = "both") -> Figure:
    """The curve of a fault with and without it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    draw_symptom(figure.subplots(), exhibit, show)
    return figure


def draw_symptom(axes: Axes, exhibit: Exhibit, show: str = "both", small: bool = False) -> None:
    """Draw it into given axes; `small` leaves labels out, for many pictures side by side."""
    width = 25 if small else 90
    axes.set_title("\n".join(textwrap.wrap(exhibit.pitfall.title, width)), fontsize=7.5 if small else 11)
    for name, one, colour in (("fixed", exhibit.fixed, FIXED), ("broken", exhibit.broken, BROKEN)):
        if show in ("both", name):
            curve = np.asarray(one.curve, dtype=float)
            places = exhibit.pitfall.at or range(len(curve))
            few = len(curve) <= 20
            axes.plot(places, curve, color=colour, label=name, marker="o" if few else None, markersize=3, linewidth=1.5)
    curves = [np.asarray(one.curve, dtype=float) for one in (exhibit.broken, exhibit.fixed)]
    both = np.concatenate(curves)
    both = both[np.isfinite(both)]
    losses = exhibit.pitfall.height == "training loss"  # small ones are worth telling apart
    if losses and len(both) and both.min() > 0 and both.max() > 100 * both.min():
        from motionlab.plots.log_axis import log_scale

        log_scale(axes, "y")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=6 if small else 9)
    if not small:
        axes.set_xlabel(exhibit.pitfall.axis)
        axes.set_ylabel("\n".join(textwrap.wrap(exhibit.pitfall.height, 34)), fontsize=9)
        axes.legend(frameon=False)


def gallery(names: Sequence[str], columns: int = 4) -> Figure:
    """Many small symptoms side by side."""
    from matplotlib.figure import Figure

    lines = -(-len(names) // columns)
    figure = Figure(figsize=(9.5, 1.65 * lines), layout="constrained")
    grid = np.atleast_1d(figure.subplots(lines, columns)).flatten()
    for axes, name in zip(grid, names, strict=False):
        draw_symptom(axes, Exhibit(find(name), *seen(name)), small=True)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    grid[0].legend(frameon=False, fontsize=6)
    return figure


def game_figure(runs: Sequence[tuple[str, str]]) -> Figure:
    """Training losses of some runs, broken or fixed, without their names: which of them would have stopped you?"""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 2.2), layout="constrained")
    for letter, axes, (name, version) in zip("ABCDEFGH", figure.subplots(1, len(runs)), runs, strict=False):
        curve = seen(name)[version == "fixed"].curve
        axes.plot(np.linspace(0, 100, len(curve)), curve, color=BROKEN, linewidth=1.5)
        axes.set_ylim(0, 1.1 * max(curve))
        axes.set_title(letter, fontsize=10)
        axes.set_xlabel("% of the training", fontsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    figure.axes[0].set_ylabel("training loss", fontsize=8)
    return figure
