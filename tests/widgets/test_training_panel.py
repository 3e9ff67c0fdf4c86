"""The training panel follows a file that grows, and does not draw more than it may."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from motionlab.training.reporting.history import History
from motionlab.widgets.training_panel import TrainingPanel


def grow(folder: Path, rows: int) -> None:
    history = History(folder / "history.csv")
    for i in range(1, rows + 1):
        validated = {"val_mpjpe_mm": 100.0, "val_mpjpe_heading_mm": 80.0, "val_used_fraction": 0.5}
        history.append(
            {"step": i, "seconds": 6.0 * i, "lr": 1e-3, "loss": 1.0 / i, **validated}
            | {"val_perplexity": 10.0 * i, "val_tokens": 4096}
        )


def test_before_and_after(tmp_path: Path) -> None:
    panel = TrainingPanel(tmp_path)
    assert panel.summary() == "x=step, smooth=1 -> no training yet"
    assert panel.table().rows[1:] == []
    before = bytes(panel._image.value)
    (words,) = panel.picture(panel.result).axes[0].texts
    assert words.get_text().startswith("No step of the training yet")
    grow(tmp_path, 3)
    assert panel.summary() == (
        "x=step, smooth=1 -> step 3 | loss ≈0.333 | error pelvis aligned ≈100 mm | error heading aligned too ≈80 mm | "
        "≈50 % of the codes in use, perplexity ≈30"
    )
    assert bytes(panel._image.value) != before and not panel.picture(panel.result).axes[0].texts
    assert panel.table().rows[-1] == ["3", "≈100.0", "≈80.0", "≈50.0 %", "≈30"]
    panel.set(x="minutes", smooth=2)
    assert "x=minutes" in panel.summary() and "loss ≈0.417" in panel.summary()
    assert repr(panel) == "<TrainingPanel: x, smooth>"


def test_the_button_reads_again(tmp_path: Path) -> None:
    panel = TrainingPanel(tmp_path)
    grow(tmp_path, 2)
    (button,) = [button for button in panel.children[-3].children if button.description == "read again"]
    button.click()
    assert panel.result.step == 2


def test_watching_draws_only_what_is_new_and_only_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    panel = TrainingPanel(tmp_path, codebook_size=1000)
    drawn: list[int] = []

    def slow(result):  # a drawing that takes half a second
        drawn.append(result.step)
        now[0] += 0.5
        return b"picture"

    monkeypatch.setattr(panel, "picture", slow)
    now[0] = 2.0
    History(tmp_path / "history.csv")
    panel.watch(0)
    assert drawn == [], "the file was begun, but there is no row yet"
    grow(tmp_path, 1)
    now[0] = 0.5
    panel.watch(1)
    assert drawn == [], "too soon"
    now[0] = 3.0
    panel.watch(2)
    assert drawn == [1]
    now[0] += 60
    panel.watch(3)
    assert drawn == [1], "nothing new"
    grow(tmp_path, 2)
    panel.watch(4)
    assert drawn == [1, 2]
    grow(tmp_path, 3)
    now[0] += 4
    panel.watch(5)
    assert drawn == [1, 2], "half a second of drawing allows one every five seconds"
    now[0] += 2
    panel.watch(6)
    assert drawn == [1, 2, 3]
