"""The figures of lesson 11 agree with the history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from motionlab.errors import InputError
from motionlab.motion.skeleton import JOINT_NAMES
from motionlab.plots.curves import figure_to_png
from motionlab.plots.tokenizer_training import Curves, drift_figure, joints_figure, training_figure
from motionlab.quantizers.usage import expected_share
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


def test_before_training_there_is_nothing_to_see(tmp_path: Path) -> None:
    curves = read_curves(tmp_path / "history.csv")
    assert curves.step == 0 and curves.loss == ([], []) and curves.used == ([], [])
    assert figure_to_png(training_figure(curves, 1000)).startswith(b"\x89PNG")


def test_the_figure_shows_all_four_and_the_limit(path: Path) -> None:
    curves: Curves = read_curves(path)
    loss, error, used, perplexity, _rate = training_figure(curves, 1000).axes
    assert [list(np.asarray(line.get_ydata())) for line in error.lines] == [[100, 50], [50, 25]]
    assert list(np.asarray(loss.lines[0].get_xdata())) == [10, 20, 30, 40]
    assert list(np.asarray(perplexity.lines[0].get_ydata())) == [40, 80]
    drawn, limit = used.lines
    assert list(np.asarray(drawn.get_ydata())) == [20, 40]
    assert np.asarray(limit.get_ydata())[0] == pytest.approx(100 * expected_share(1000, 8192))
    assert len(training_figure(curves).axes[2].lines) == 1, "no limit without the size of the codebook"


def test_joints_are_sorted_and_the_pelvis_has_no_bar() -> None:
    errors = np.arange(22.0)
    body, bars = joints_figure(errors, "error").axes
    labels = [label.get_text() for label in bars.get_yticklabels()]
    assert labels == [name.replace("_", " ") for name in JOINT_NAMES[1:]]
    assert [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)] == list(range(1, 22))
    points = body.collections[0]
    assert isinstance(points, PathCollection)
    sizes = np.asarray(points.get_sizes())
    assert len(sizes) == 22 and sizes.argmax() == 21
    across = np.asarray(points.get_offsets())[:, 0]
    left, right = (across[JOINT_NAMES.index(f"{side}_wrist")] for side in ("left", "right"))
    assert left > right, "seen from the front, the left hand is on the right"
    with pytest.raises(InputError, match="22"):
        joints_figure(errors[:21])


def test_drift_is_drawn_over_seconds() -> None:
    left, right = drift_figure({"pelvis aligned": [1, 2, 3], "pose only": [1, 1, 1]}, [0, 5, 10], fps=2).axes
    assert [line.get_label() for line in left.lines] == ["pelvis aligned", "pose only"]
    assert list(np.asarray(right.lines[0].get_xdata())) == [0, 0.5, 1.0]
    assert list(np.asarray(right.lines[0].get_ydata())) == [0, 5, 10]
