"""The panel of lesson 01: a clip, a moment, and some of its 272 numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.data.composed.samples import load_samples
from motionlab.motion.features import FEATURE_SLICES
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES
from motionlab.plots.motion_features import FeatureView, feature_figure
from motionlab.views.motion_features import compute_features
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLIPS = ("walk", "run", "turn_left1", "spinkick", "cartwheel", "jump", "dance_b", "backflip")
START = {"clip": "walk", "moment": 0.5, "slice": "positions", "joint": "left_foot"}


class FeaturePanel(Panel):
    """Choose a clip, move through its time, and look at one slice of the features, for one joint."""

    PRESETS: ClassVar = {
        "speed of the root": START | {"slice": "root_velocity"},
        "a turn": START | {"clip": "turn_left1", "slice": "heading"},
        "a spin": START | {"clip": "spinkick", "slice": "heading"},
        "never moves": START | {"joint": "pelvis"},
        "an elbow": START | {"clip": "dance_b", "slice": "rotations", "joint": "left_elbow"},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "90px"}
        return {
            "clip": W.Dropdown(options=CLIPS, value=START["clip"], description="clip", style=style),
            "moment": W.FloatSlider(0.5, min=0.0, max=1.0, step=0.01, description="moment", style=style),
            "slice": W.ToggleButtons(options=list(FEATURE_SLICES), value=START["slice"], description="slice"),
            "joint": W.Dropdown(options=JOINT_NAMES, value=START["joint"], description="joint", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> FeatureView:
        motion = _clip(params["clip"])
        second = params["moment"] * (len(motion) - 1) / motion.fps
        return compute_features(motion, second, params["slice"], params["joint"])

    def picture(self, result: FeatureView) -> Figure:
        return feature_figure(result)

    def describe(self, result: FeatureView) -> str:
        values = ", ".join(
            f"{label} ≈{value:.3f}" for label, value in zip(result.labels, self._values(result), strict=True)
        )
        place = f"frame {result.frame} of {len(result.curves)}"
        return f"{place} | numbers {result.numbers[0]} to {result.numbers[-1]}: {values} ({result.unit})"

    def rows(self, result: FeatureView) -> Sequence[Sequence[str]]:
        lines: list[Sequence[str]] = [("number", "is", "now", "lowest", "highest")]
        for i, (number, label) in enumerate(zip(result.numbers, result.labels, strict=True)):
            curve = result.curves[:, i]
            cells = (self._values(result)[i], float(curve.min()), float(curve.max()))
            lines.append((str(number), label, *(f"{value:.3f}" for value in cells)))
        return lines

    @staticmethod
    def _values(result: FeatureView) -> list[float]:
        return [float(value) for value in result.curves[result.frame]]


@cache
def _clip(name: str) -> Motion:
    """A bundled clip, read once: a panel that is dragged asks for it at every moment."""
    return next(sample.motion for sample in load_samples() if sample.name == name)
