"""The panel of lesson 19: which frames a token sees, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import ipywidgets as W
from matplotlib.figure import Figure

from lessons.build_the_tokenizer.field import Layer, encoder_layers, receptive_field
from motionlab.plots.player import PALETTE
from motionlab.widgets.panel import Panel

FPS, WINDOW = 30, 96  # frames a second; frames that a published training window has


@dataclass(frozen=True)
class FieldView:
    """One token's way back to the frames.

    Fields:
        layers: (kernel, stride, dilation), from the motion to the token.
        seen: for each layer from the top, and at last for the motion, the places that the token depends on, in frames
            from its own middle.
        field: frames seen; per_token: frames that one token stands for.
    """

    layers: list[Layer]
    seen: list[list[float]]
    field: int
    per_token: int


def compute_field(depth: int, growth: int, stages: int, kernel: int) -> FieldView:
    """Walk from one token down to the motion and note every place on the way."""
    layers = encoder_layers(depth, growth, kernel, stages)
    jumps = [1]
    for _, stride, _ in layers:
        jumps.append(jumps[-1] * stride)
    places, seen = {0}, []
    for number in reversed(range(len(layers))):
        seen.append(_frames(places, jumps[number + 1]))
        size, stride, dilation = layers[number]
        sides = ((size - 1) * dilation + 1 - stride) // 2
        places = {place * stride + tap * dilation - sides for place in places for tap in range(size)}
    seen.append(_frames(places, 1))
    middle = (seen[-1][0] + seen[-1][-1]) / 2
    return FieldView(layers, [[x - middle for x in row] for row in seen], receptive_field(layers), jumps[-1])


def _frames(places: set[int], jump: int) -> list[float]:
    """Places of a layer in frames: place i stands for `jump` frames from i * jump on, and is drawn in their middle."""
    return [place * jump + (jump - 1) / 2 for place in sorted(places)]


class FieldPanel(Panel):
    """Choose blocks, growth of the dilation, halvings and kernel; see what a token sees."""

    PRESETS: ClassVar = {
        "published": {"depth": 3, "growth": 3, "stages": 1, "kernel": 3},
        "no dilation": {"depth": 3, "growth": 1, "stages": 1, "kernel": 3},
        "4 frames a token": {"depth": 3, "growth": 3, "stages": 2, "kernel": 3},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "70px"}
        return {
            "depth": W.IntSlider(2, 0, 4, description="blocks", style=style),
            "growth": W.IntSlider(3, 1, 4, description="growth", style=style),
            "stages": W.IntSlider(1, 0, 3, description="halvings", style=style),
            "kernel": W.Dropdown(options=[3, 5], value=3, description="kernel", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> FieldView:
        return compute_field(**params)

    def picture(self, result: FieldView) -> Figure:
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        axes = figure.add_subplot()
        names = ["the token", *map(_name, reversed(result.layers))]
        for row, places in enumerate(result.seen):
            axes.plot(places, [-row] * len(places), ".", markersize=4, color=PALETTE[row == len(result.seen) - 1])
        axes.set_yticks([-row for row in range(len(result.seen))], names, fontsize=7)
        half = max(WINDOW / 2, result.field / 2) + 2
        axes.axvspan(-WINDOW / 2, WINDOW / 2, color="#f3f4f6", zorder=0)
        axes.set(xlim=(-half, half), xlabel="frames from the middle of the token; grey: a training window of 96")
        axes.set_ylabel("what each layer reads", fontsize=8)
        axes.xaxis.label.set_fontsize(8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right", "left"]].set_visible(False)
        return figure

    def describe(self, result: FieldView) -> str:
        return (
            f"a token sees {result.field} frames (≈{result.field / FPS:.2f} s) and stands for {result.per_token}; "
            f"{len(result.layers)} layers, ≈{FPS / result.per_token:.3g} tokens a second"
        )

    def rows(self, result: FieldView) -> Sequence[Sequence[str]]:
        lines = [("layer", "kernel", "stride", "dilation", "frames seen so far")]
        for number, (kernel, stride, dilation) in enumerate(result.layers):
            seen = receptive_field(result.layers[: number + 1])
            lines.append((str(number + 1), str(kernel), str(stride), str(dilation), str(seen)))
        return lines


def _name(layer: Layer) -> str:
    kernel, stride, dilation = layer
    return f"kernel {kernel}" + f", dilation {dilation}" * (dilation > 1) + f", stride {stride}" * (stride > 1)
