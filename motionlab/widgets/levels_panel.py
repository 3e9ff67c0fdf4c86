"""The second panel of lesson 03: the consequences of a list of levels, before anything is trained."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.errors import InputError
from motionlab.plots.levels import LevelView, levels_figure
from motionlab.views.levels import compute_levels
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DIMENSIONS = 8


class LevelsPanel(Panel):
    """Write levels, choose the bound and how widely the encoder spreads; see thresholds, shares, codes and bits."""

    PRESETS: ClassVar = {
        "MotionMillion": {"levels": "8, 8, 8, 5, 5, 5", "bound": "fsq", "spread": 1.0, "dimension": 1},
        "iFSQ": {"levels": "5, 5, 5, 5", "bound": "ifsq", "spread": 1.0, "dimension": 1},
        "too narrow": {"levels": "5, 5, 5, 5", "bound": "fsq", "spread": 0.2, "dimension": 1},
        "too wide": {"levels": "5, 5, 5, 5", "bound": "fsq", "spread": 3.0, "dimension": 1},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
        return {
            "levels": W.Text("8, 5, 5, 5", description="levels", style=style),
            "bound": W.ToggleButtons(options=["fsq", "ifsq"], description="bound", style=style),
            "spread": W.FloatSlider(1.0, min=0.2, max=3.0, step=0.1, description="spread of z", style=style),
            "dimension": W.IntSlider(1, 1, MOST_DIMENSIONS, description="dimension", style=style),
            "frames": W.Dropdown(options=[1, 2, 4, 8], value=4, description="frames a token", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> tuple[LevelView, int, int]:
        levels = read_levels(params["levels"])
        if params["dimension"] > len(levels):
            raise InputError(
                "dimension", found=params["dimension"], expected=f"1 to {len(levels)}", fix="Move the slider back."
            )
        return compute_levels(levels, params["bound"], params["spread"]), params["dimension"], params["frames"]

    def picture(self, result: tuple[LevelView, int, int]) -> Figure:
        view, dimension, _ = result
        return levels_figure(view, dimension)

    def describe(self, result: tuple[LevelView, int, int]) -> str:
        view, _, frames = result
        return (
            f"{' x '.join(map(str, view.levels))} = {math.prod(view.levels):,} codes | "
            f"≈{view.bits:.2f} bits a token, ≈{view.bits / frames:.2f} a frame | with this spread a token carries "
            f"≈{view.entropy_bits:.2f} bits; the rarest level gets ≈{100 * view.rarest:.2g} %"
        )

    def rows(self, result: tuple[LevelView, int, int]) -> Sequence[Sequence[str]]:
        view = result[0]
        lines: list[Sequence[str]] = [("dimension", "levels", "thresholds", "share of each level")]
        for i, level in enumerate(view.levels):
            thresholds = " ".join(f"{t:.3f}" for t in view.thresholds[i])
            lines.append((str(i + 1), str(level), thresholds, " ".join(f"{p:.1%}" for p in view.shares[i])))
        return lines


def read_levels(text: str) -> tuple[int, ...]:
    """Levels as a person writes them.

    >>> read_levels("8, 5,5 5")
    (8, 5, 5, 5)
    """
    words = re.split(r"[\s,;x]+", text.strip().strip("()[]"))
    expected = f"1 to {MOST_DIMENSIONS} whole numbers from 2 to 16"
    if not all(word.isdecimal() for word in words) or len(words) > MOST_DIMENSIONS:
        raise InputError("levels", found=repr(text), expected=expected, fix="For example 8, 5, 5, 5.")
    levels = tuple(int(word) for word in words)
    if not all(2 <= level <= 16 for level in levels):
        raise InputError("levels", found=repr(text), expected=expected, fix="For example 8, 5, 5, 5.")
    return levels
