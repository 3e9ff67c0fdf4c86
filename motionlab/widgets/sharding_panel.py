"""The panel of lesson 15: what does each GPU hold, and what does the training cost?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.cost.sharding import NUMBERS
from motionlab.views.roofline_figures import sharding_figure
from motionlab.views.sharding import Sharding, compute_sharding
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"ddp": "DDP", "zero1": "ZeRO 1", "zero2": "ZeRO 2", "zero3": "ZeRO 3 (FSDP)"}
OFFERED = ("111M", "343M", "775M", "1B", "3B", "5B", "7B")


class ShardingPanel(Panel):
    """Choose a decoder, a number of GPUs and what numbers are made of; see what each GPU holds."""

    PRESETS: ClassVar = {
        "published 3B": {"size": "3B", "gpus": 40, "numbers": "pure bf16", "gpu_gb": 80},
        "published 7B": {"size": "7B", "gpus": 40, "numbers": "bf16 + fp32 copy", "gpu_gb": 80},
        "7B, one GPU": {"size": "7B", "gpus": 1, "numbers": "fp32", "gpu_gb": 80},
        "7B, eight small GPUs": {"size": "7B", "gpus": 8, "numbers": "fp32", "gpu_gb": 24},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}

        def slide(options: Sequence[Any], value: Any, name: str) -> Any:
            return W.SelectionSlider(options=options, value=value, description=name, style=style)

        return {
            "size": slide(OFFERED, "7B", "decoder"),
            "gpus": slide((1, 2, 4, 8, 16, 32, 40, 64, 128, 256, 512), 8, "GPUs"),
            "numbers": W.Dropdown(options=tuple(NUMBERS), description="numbers", style=style),
            "gpu_gb": slide((16, 24, 40, 48, 80, 141), 80, "GB of a GPU"),
        }

    @staticmethod
    def compute(**params: Any) -> Sharding:
        return compute_sharding(**params)

    def picture(self, result: Sharding) -> Figure:
        bars = {NAMES[stage]: estimate for stage, estimate in result.held.items()}
        title = (
            f"{result.size}: {result.parameters / 1e9:.2f} billion parameters, {result.gpus} GPU(s), {result.numbers}"
        )
        limit_name = f"{result.limit / 1e9:.0f} GB"
        return sharding_figure(bars, limit=result.limit, limit_name=limit_name, title=title)

    def describe(self, result: Sharding) -> str:
        held = ", ".join(f"{NAMES[stage]} ≈{estimate.total / 1e9:.1f}" for stage, estimate in result.held.items())
        first = result.first_that_fits
        verdict = self.said(f"the first that fits is {NAMES[first]}" if first else "none fits")
        return f"{result.size} on {result.gpus}: GB a GPU: {held} | {verdict} (activations not counted)"

    def rows(self, result: Sharding) -> Sequence[Sequence[str]]:
        return [
            ("stage", "weights GB", "gradients GB", "optimizer GB", "GB a GPU", "GB sent a step"),
            *(
                (
                    NAMES[stage],
                    *(f"{getattr(held, part) / 1e9:.2f}" for part in ("weights", "gradients", "optimizer", "total")),
                    f"{result.sent[stage] / 1e9:.2f}",
                )
                for stage, held in result.held.items()
            ),
        ]
