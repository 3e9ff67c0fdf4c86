"""Figures of an ablation hold the numbers of their rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from motionlab.plots.ablation import (
    LABELS,
    STYLES,
    choose_axes,
    curves,
    kinds_figure,
    overview_figure,
    rate_distortion_figure,
    spread_figure,
)
from motionlab.plots.curves import figure_to_png
from motionlab.quantizers.build import KINDS


@dataclass
class FakeRow:
    """A row that answers as those of jobs do."""

    point: dict[str, Any]
    numbers: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        usual = {"lr": 0.003, "steps": 300, "used_fraction": 0.5, "perplexity": 9.0, "mpjpe_mm": 180.0}
        return {**usual, "acceleration_mm": 5.0, "bits_per_frame": 2.5, **self.numbers, **self.point}[name]


def row(kind: str, size: int, seed: int, error: float, bits: float = 2.0, **more: Any) -> FakeRow:
    point = {"quantizer": kind, "codebook_size": size, "seed": seed, **more}
    return FakeRow(point, {"mpjpe_heading_mm": error, "entropy_bits_per_frame": bits})


ROWS = [
    row("fsq", 1024, 0, 70.0, 2.1), row("fsq", 256, 0, 80.0, 1.8), row("fsq", 256, 1, 82.0, 1.9),
    row("fsq", 1024, 1, 73.0, 2.2), row("vq_ema", 256, 0, 66.0), row("vq_ema", 256, 1, 68.0),
]  # fmt: skip


def test_rows_are_grouped_by_seed() -> None:
    assert curves(ROWS, "codebook_size", "mpjpe_heading_mm") == {
        "fsq": {1024: [70.0, 73.0], 256: [80.0, 82.0]},
        "vq_ema": {256: [66.0, 68.0]},
    }


def test_lines_are_means_and_bands_reach_over_the_seeds() -> None:
    (axes,) = spread_figure(ROWS, "codebook_size", "mpjpe_heading_mm").axes
    fsq, vq = axes.lines
    assert np.asarray(fsq.get_xdata()).tolist() == [256, 1024] and np.asarray(fsq.get_ydata()).tolist() == [81.0, 71.5]
    assert np.asarray(vq.get_ydata()).tolist() == [67.0] and axes.get_xscale() == "log"
    (band, bar) = axes.collections
    assert (band.get_paths()[0].get_extents().y0, band.get_paths()[0].get_extents().y1) == (70.0, 82.0)
    assert isinstance(bar, LineCollection)
    assert [point.tolist() for point in bar.get_segments()[0]] == [[256, 66.0], [256, 68.0]]


def test_a_point_trained_here_is_a_star() -> None:
    live = [row("fsq", 256, 5, 99.0, steps=40)]
    (axes,) = spread_figure(ROWS, "codebook_size", "mpjpe_heading_mm", live=live).axes
    assert axes.lines[-1].get_marker() == "*" and axes.lines[-1].get_ydata() == [99.0]
    assert axes.lines[-1].get_label() == "fsq, 40 steps, here"
    (axes,) = kinds_figure(ROWS[1:2] + ROWS[4:], "mpjpe_heading_mm", live=live).axes
    assert np.asarray(axes.collections[-1].get_offsets()).tolist() == [[99.0, 0.0]]  # on the line of fsq, the lowest


def test_kinds_are_sorted_by_their_mean() -> None:
    rows = [row("fsq", 1024, 0, 70.0), row("lfq", 1024, 0, 90.0), row("rvq", 1024, 0, 50.0)]
    (axes,) = kinds_figure(rows, "mpjpe_heading_mm").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lfq", "fsq", "rvq"]  # from below


def test_rate_and_distortion() -> None:
    (axes,) = rate_distortion_figure(ROWS).axes
    fsq = axes.lines[0]
    assert np.asarray(fsq.get_xdata()).tolist() == pytest.approx([1.85, 2.15])
    assert np.asarray(fsq.get_ydata()).tolist() == [81.0, 71.5]
    (axes,) = rate_distortion_figure(ROWS, rate="bits_per_frame").axes
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [2.5, 2.5]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROWS, ("codebook_size", ("quantizer",))),
        ([row("fsq", 256, 0, 1.0, lr=lr) for lr in (0.001, 0.01)], ("lr", ("quantizer",))),
        ([row(kind, 256, 0, 1.0) for kind in ("fsq", "lfq")], ("quantizer", ("quantizer",))),
        ([row("fsq", 256, 0, 1.0, norm=norm) for norm in ("LN", None)], ("quantizer", ("norm",))),
        ([*ROWS, row("fsq", 256, 0, 1.0, lr=0.01)], ("codebook_size", ("quantizer", "lr"))),
    ],
)
def test_the_setting_with_most_values_goes_to_the_x_axis(rows: list[FakeRow], expected: Any) -> None:
    assert choose_axes(rows) == expected


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [row(kind, 256, 0, 1.0) for kind in KINDS]])
def test_the_overview_has_every_number_once(rows: list[FakeRow]) -> None:
    figure = overview_figure(rows)
    labels = [axes.get_ylabel() for axes in figure.axes[:7]]
    wanted = ("mpjpe_heading_mm", "mpjpe_mm", "acceleration_mm", "used_fraction", "perplexity")
    assert labels == [LABELS[name] for name in (*wanted, "entropy_bits_per_frame", "mpjpe_heading_mm")]
    legend = figure.axes[7].get_legend()
    assert legend is not None and len(legend.get_texts()) == len({r["quantizer"] for r in rows})
    assert figure_to_png(figure, 40).startswith(b"\x89PNG")


def test_every_quantizer_has_a_look_of_its_own() -> None:
    assert set(STYLES) == set(KINDS) and len(set(STYLES.values())) == len(KINDS)
