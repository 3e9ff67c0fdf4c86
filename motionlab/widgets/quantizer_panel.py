"""The panel of lesson 03: one plane of latents, cut up by FSQ and by a learned codebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.plots.quantizer_cells import Cells, cells_figure
from motionlab.views.quantizer_cells import compute_cells
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class QuantizerPanel(Panel):
    """Move the levels, the spread of the latents, and where the learned codes begin; see which codes are used."""

    PRESETS: ClassVar = {
        "collapse": {"levels": 7, "spread": 0.5, "start": "far away", "rescue": False},
        "rescued": {"levels": 7, "spread": 0.5, "start": "far away", "rescue": True},
        "well spread": {"levels": 5, "spread": 1.6, "start": "on the data", "rescue": True},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
        return {
            "levels": W.IntSlider(5, 2, 9, description="levels", style=style),
            "spread": W.FloatSlider(1.0, min=0.1, max=2.5, step=0.1, description="spread", style=style),
            "start": W.ToggleButtons(options=["far away", "on the data"], description="VQ codes start", style=style),
            "rescue": W.Checkbox(False, description="rescue dead VQ codes", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> Cells:
        return compute_cells(**params)

    def picture(self, result: Cells) -> Figure:
        return cells_figure(result)

    def describe(self, result: Cells) -> str:
        fsq, vq = result.fsq_usage, result.vq_usage
        return (
            f"{len(fsq.histogram)} codes each | FSQ uses {fsq.used}, perplexity ≈{fsq.perplexity:.1f} | "
            f"VQ uses {vq.used}, perplexity ≈{vq.perplexity:.1f}"
        )

    def rows(self, result: Cells) -> Sequence[Sequence[str]]:
        lines = [("quantizer", "codes", "used", "never used", "perplexity")]
        for name, usage in (("FSQ", result.fsq_usage), ("VQ", result.vq_usage)):
            counts = (str(len(usage.histogram)), str(usage.used), str(usage.dead))
            lines.append((name, *counts, f"≈{usage.perplexity:.1f}"))
        return lines
