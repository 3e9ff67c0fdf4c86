"""The curves of lesson 11 are what the history says."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.training.reporting.history import History
from motionlab.views.tokenizer_training import read_curves


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four rows, every second one with a validation."""
    history = History(tmp_path / "history.csv")
    for i in range(1, 5):
        row = {"step": 10 * i, "seconds": 30.0 * i, "lr": 1e-3, "loss": 1.0 / i}
        if i % 2 == 0:
            row |= {"val_mpjpe_mm": 200.0 / i, "val_mpjpe_heading_mm": 100.0 / i, "val_used_fraction": i / 10}
            row |= {"val_perplexity": 20.0 * i, "val_tokens": 8192}
        history.append(row)
    return tmp_path / "history.csv"


def test_curves_are_the_columns(path: Path) -> None:
    curves = read_curves(path)
    assert curves.step == 40 and curves.tokens == 8192 and curves.x_label == "optimizer step"
    assert curves.loss == ([10, 20, 30, 40], [1.0, 0.5, pytest.approx(1 / 3), 0.25])
    assert curves.errors == {"pelvis aligned": ([20, 40], [100, 50]), "heading aligned too": ([20, 40], [50, 25])}
    assert curves.used == ([20, 40], [20, 40]) and curves.perplexity == ([20, 40], [40, 80])


def test_minutes_and_smoothing(path: Path) -> None:
    curves = read_curves(path, x="minutes", smooth=2)
    assert curves.loss[0] == [0.5, 1.0, 1.5, 2.0] and curves.used[0] == [1.0, 2.0]
    assert curves.loss[1] == pytest.approx([1.0, 0.75, (0.5 + 1 / 3) / 2, (1 / 3 + 0.25) / 2])
    assert curves.errors["pelvis aligned"][1] == [100, 50], "errors are never smoothed"
    with pytest.raises(InputError, match="step or minutes"):
        read_curves(path, x="hours")
