"""The curves of stage 2 are what the history says."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.training.reporting.history import History
from motionlab.views.decoder_training import read_decoder_curves


def test_curves_are_the_columns_and_only_training_is_smoothed(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert read_decoder_curves(path).lines == (([], []),) * 4 and read_decoder_curves(path).step == 0
    history = History(path)
    for i in (1, 2, 3):
        row = {"step": i, "loss": 4.0 / i, "accuracy": 0.1 * i}
        history.append(row | ({"val_loss": 3.0 - i, "val_accuracy": 0.25} if i != 2 else {}))
    curves = read_decoder_curves(path, smooth=2)
    loss, held_out, accuracy, held_out_accuracy = curves.lines
    assert curves.step == 3 and loss == ([1, 2, 3], [4.0, 3.0, pytest.approx((2 + 4 / 3) / 2)])
    assert held_out == ([1, 3], [2.0, 0.0]) and held_out_accuracy == ([1, 3], [0.25, 0.25])
    assert accuracy[1] == pytest.approx([0.1, 0.15, 0.25])
