"""The ablation panel without a browser: what it shows, and the Run button."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.jobs.ablations.results import Row, append_row, start_file
from motionlab.jobs.ablations.tokenizer_point import Result, canonical, point_config
from motionlab.widgets import ablation_panel
from motionlab.widgets.ablation_panel import AblationPanel

NUMBERS = Result(70.0, 180.0, 5.0, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387.0, 30.0)
ERRORS = {("fsq", 256): 80.0, ("fsq", 1024): 70.0, ("vq_ema", 256): 68.0, ("vq_ema", 1024): 64.0, ("lfq", 1024): 90.0}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "ablation.jsonl"
    start_file(path, point_config())
    for (kind, size), error in ERRORS.items():
        for seed in (0, 1):
            point = canonical({"quantizer": kind, "codebook_size": size, "seed": seed})
            append_row(path, Row(point, replace(NUMBERS, mpjpe_heading_mm=error + seed)))
    append_row(path, Row(canonical({"lr": 0.01}), replace(NUMBERS, mpjpe_heading_mm=160.0)))
    return path


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Training that waits until the test opens the gate, in a thread instead of a process."""
    opened = threading.Event()

    def run_point(point: dict[str, Any], corpus: Any) -> Result:
        assert opened.wait(60)
        if point["quantizer"] == "lfq":
            raise InputError("training", found="loss <nan>", expected="a finite number", fix="Lower lr.")
        return replace(NUMBERS, mpjpe_heading_mm=99.0, seconds=2.0)

    monkeypatch.setattr(ablation_panel, "run_point", run_point)
    monkeypatch.setattr(ablation_panel, "worker_pool", ThreadPoolExecutor)
    yield opened.set
    opened.set()


def test_it_shows_the_main_lines_first(results: Path) -> None:
    panel = AblationPanel(results)
    assert panel.params == {"x": "codebook_size", "y": "mpjpe_heading_mm", "kinds": ("fsq", "vq_ema")}
    assert panel.summary().endswith(
        "error, heading aligned (mm), 4 means over 2 seeds | lowest ≈64.5 (vq_ema 1024), highest ≈80.5 (fsq 256)"
    )
    assert bytes(panel._image.value).startswith(b"\x89PNG")
    assert panel.table().rows == [
        ["quantizer", "256", "1,024"], ["fsq", "80.5 (80.0 to 81.0)", "70.5 (70.0 to 71.0)"],
        ["vq_ema", "68.5 (68.0 to 69.0)", "64.5 (64.0 to 65.0)"],
    ]  # fmt: skip
    assert all("lr" not in row.point for row in panel.result.rows), "another question's rows"


@pytest.mark.parametrize("name", AblationPanel.PRESETS)
def test_every_preset_draws(results: Path, name: str) -> None:
    panel = AblationPanel(results)
    before = bytes(panel._image.value)
    panel.preset(name)
    assert (bytes(panel._image.value) != before) == (name != "error")
    if name == "all at 1024":
        assert {row["quantizer"] for row in panel.result.rows} == {"fsq", "vq_ema", "lfq"}
        assert {row["codebook_size"] for row in panel.result.rows} == {1024}


def test_no_line_is_an_error_beside_the_controls(results: Path) -> None:
    panel = AblationPanel(results)
    panel.inputs["kinds"].value = ()
    assert 'role="alert"' in panel._text.value


def test_the_button_trains_in_the_background_and_adds_a_star(results: Path, gate: Callable[[], None]) -> None:
    panel = AblationPanel(results)
    panel.run_controls["quantizer"].value = "vq_ema"
    before = bytes(panel._image.value)
    panel.run_button.click()  # comes back although the training has not begun
    assert "training vq_ema codebook_size=1024 seed=0 steps=40 ..." in panel.run_text.value and panel.live == []
    gate()
    panel.wait(60)
    assert [row["mpjpe_heading_mm"] for row in panel.live] == [99.0] and bytes(panel._image.value) != before
    assert "here: vq_ema codebook_size=1024 seed=0 steps=40 ≈99.0" in panel.summary()
    assert "done after 2 s" in panel.run_text.value
    panel.set(kinds=("fsq",))
    assert "here" not in panel.summary()  # its line is not shown, so it is not either


def test_two_points_can_be_started_at_once(results: Path, gate: Callable[[], None]) -> None:
    panel = AblationPanel(results)
    panel.run_point(quantizer="fsq", codebook_size=256)
    panel.run_point(quantizer="fsq", codebook_size=256, seed=1)
    gate()
    panel.wait(60)
    assert sorted(row["seed"] for row in panel.live) == [0, 1] and panel.running == []


def test_a_point_that_cannot_be_trained_says_so(results: Path, gate: Callable[[], None]) -> None:
    panel = AblationPanel(results)
    with pytest.raises(InputError, match="Did you mean quantizer"):
        panel.run_point(quantiser="fsq")
    panel.run_controls["steps"].value = 45
    panel.run_controls["quantizer"].value = "lfq"
    panel.run_button.click()
    gate()
    with pytest.raises(InputError, match="loss <nan>"):
        panel.wait(60)
    assert 'role="alert"' in panel.run_text.value and "loss &lt;nan&gt;" in panel.run_text.value
    assert panel.live == []
    panel.wait(1)  # a failure is told once


def test_a_file_without_points(tmp_path: Path) -> None:
    start_file(tmp_path / "empty.jsonl", point_config())
    with pytest.raises(InputError, match="no rows"):
        AblationPanel(tmp_path / "empty.jsonl")


@pytest.mark.slow
def test_a_real_point_in_a_process_of_its_own(results: Path, private_cache: Path) -> None:
    panel = AblationPanel(
        results, corpus={"n_train": 12, "n_seen_pairs": 2, "n_unseen_pairs": 2, "n_new_takes": 2, "n_validation": 4}
    )
    tiny = {"width": 16, "code_dim": 8, "batch_size": 4, "warmup_steps": 1, "codebook_size": 64}
    future = panel.run_point(quantizer="ifsq", steps=2, **tiny)
    panel.wait(300)
    assert future.result().codes == 64 and panel.live[0]["steps"] == 2
