"""Whether a step fits, by formula."""

from __future__ import annotations

from motionlab.cost.settings import MIB, RESERVE
from motionlab.views.memory import compute_fit

PUBLISHED = {"batch": 64, "window": 96, "precision": "fp32", "optimizer": "adamw"}


def test_the_border_between_fitting_and_not() -> None:
    fit = compute_fit(width=512, memory_gib=2, **PUBLISHED)
    assert fit.fits and fit.limit == 2048 * MIB and fit.room == fit.limit - RESERVE
    assert fit.largest_part == "activations" and fit.batch > 64
    border = compute_fit(width=512, memory_gib=(fit.memory.peak + RESERVE) / (1024 * MIB), **PUBLISHED)
    assert border.fits and border.batch == 64
    below = compute_fit(width=512, memory_gib=(fit.memory.peak + RESERVE - 1) / (1024 * MIB), **PUBLISHED)
    assert not below.fits and below.batch < 64


def test_a_measured_peak_agrees_within_a_tenth_of_it() -> None:
    fit = compute_fit(width=64, memory_gib=2, **PUBLISHED)
    peak = fit.memory.peak
    assert fit.agrees(peak) and fit.agrees(round(peak / 0.91)) and fit.agrees(round(peak / 1.09))
    assert not fit.agrees(round(peak / 0.89)) and not fit.agrees(round(peak / 1.11))
