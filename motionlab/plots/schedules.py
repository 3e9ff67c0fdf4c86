"""A learning rate as intended and as it comes out, drawn: `views.schedules` computes both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """Two learning rates over the same optimizer steps, as shares of the peak.

    Fields:
        steps: `[S]`, the optimizer steps that are looked at; meant, real: `[S]`, the rate at each of them.
    """

    name: str
    steps: tuple[int, ...]
    meant: tuple[float, ...]
    real: tuple[float, ...]

    @property
    def worked(self) -> float:
        """How much learning rate there was in all, as a share of the intended amount."""
        return sum(self.real) / sum(self.meant)


def schedule_figure(*comparisons: Comparison, log_y: bool = False) -> Figure:
    """One picture for each comparison: meant (dashed) and real."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    from motionlab.plots.log_axis import log_scale

    figure = Figure(figsize=(max(6.4, 3.85 * len(comparisons)), 3.2), layout="constrained")
    for axes, one in zip(figure.subplots(1, len(comparisons), squeeze=False)[0], comparisons, strict=True):
        axes.plot(one.steps, one.real, color=PALETTE[1], linewidth=2, label="as it runs")
        axes.plot(one.steps, one.meant, color=PALETTE[0], linewidth=1.6, linestyle="--", label="as meant")
        axes.set(xlabel="optimizer step", ylabel="learning rate / peak", title=one.name)
        if log_y:
            log_scale(axes, "y")
        axes.title.set_fontsize(10)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 200k instead of 200000
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
