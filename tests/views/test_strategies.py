"""The figures of the strategies, from made-up rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.jobs.ablations.strategy_point import STRATEGIES
from motionlab.plots.curves import figure_to_png
from motionlab.views.strategies import (
    COLOURS,
    NAMES,
    exposure_figure,
    nats_figure,
    noise_figure,
    over_seeds,
    position_figure,
    strategies_figure,
)


def made_up(strategy: str, seed: int) -> dict[str, Any]:
    up = 0.1 * seed
    return {
        "strategy": strategy, "seed": seed, "loss": None if strategy == "masked" else 2.0 + up,
        "noisy_loss": None if strategy == "masked" else [2.0 + up, 2.5, 3.0],
        "distance_accuracy": [0.5 + up, 0.3, 0.2], "distance_nats": [1.5, 3.0 + up, 4.0],
        "clean_accuracy": [0.5, 0.4], "own_accuracy": [0.2, 0.1],
        "score_seen": 0.6 + up, "score_unseen": 0.5 - up,
    }  # fmt: skip


ROWS = [made_up(name, seed) for seed in range(3) for name in ("masked", "teacher_forcing", "keep_50")]


def test_every_strategy_has_a_name_and_a_colour() -> None:
    assert list(NAMES) == list(STRATEGIES) and set(COLOURS) == set(NAMES) and len(set(COLOURS.values())) == len(NAMES)


def test_values_are_grouped_by_strategy() -> None:
    groups = over_seeds(ROWS, "distance_accuracy")
    assert list(groups) == ["teacher_forcing", "keep_50", "masked"] and groups["masked"].shape == (3, 3)
    assert "masked" not in over_seeds(ROWS, "loss")
    with pytest.raises(InputError, match="none with loss"):
        over_seeds([row for row in ROWS if row["strategy"] == "masked"], "loss")


def test_exposure_shows_means_and_shares() -> None:
    left, right = exposure_figure(ROWS, group=2).axes
    assert np.asarray(left.lines[0].get_ydata())[0] == pytest.approx(0.6) and len(left.lines) == 3
    assert list(np.asarray(right.lines[0].get_xdata())) == [0, 1.5]
    assert list(np.asarray(right.lines[0].get_ydata())) == pytest.approx(
        [1, (0.25 / 0.5 + 0.25 / 0.6 + 0.25 / 0.7) / 3]
    )


def test_the_other_figures_draw() -> None:
    position = position_figure(ROWS, 8).axes[0]
    assert list(np.asarray(position.lines[0].get_xdata())) == [4, 12] and len(position.lines) == 7
    assert len(noise_figure(ROWS, [0.0, 0.1, 0.3]).axes[0].lines) == 2
    assert list(np.asarray(nats_figure(ROWS).axes[0].lines[1].get_ydata())) == pytest.approx([1.5, 3.1, 4.0])
    figure = strategies_figure(ROWS, ("score_seen", "loss"), reference={"score_seen": 0.98})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][-1] == "teacher forcing"
    for drawn in (figure, exposure_figure(ROWS), position_figure(ROWS)):
        assert figure_to_png(drawn).startswith(b"\x89PNG")
