"""The report of one training: the same facts three times, and what a person would say about them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.jobs.run_folder import Run
from motionlab.jobs.training_report import as_markdown, training_report, write_training_report
from motionlab.training.reporting.history import History


@pytest.fixture
def stage(finished_run: Run, tmp_path: Path) -> Path:
    """The decoder's training of a copied run."""
    return shutil.copytree(finished_run.folder, tmp_path / "tiny run") / "llama"


def change(stage: Path, **values: Any) -> None:
    path = stage / "training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_three_forms_say_the_same(stage: Path) -> None:
    html = write_training_report(stage).read_text()
    report, text = json.loads((stage / "report.json").read_text()), (stage / "report.md").read_text()
    history = History.read(stage / "history.csv")
    assert report["steps"] == report["steps_planned"] == 12 and report["ended"] == "done"
    assert report["last_loss"] == history.column("loss")[-1]
    assert report["best"]["value"] == min(history.points("val_loss")[1]) and report["best"]["metric"] == "loss"
    assert report["config"]["llama"]["dim"] == 32
    for part in ("tiny run/llama", "12 of 12 steps; finished.", f"{report['last_loss']:,.4g}", "dim: 32", "lm_head"):
        assert part in text and part in html, part
    assert not re.search(r'(src|href)="http', html)


@pytest.mark.parametrize(("step_up", "n_figures"), [(0.01, 4), (0.0, 3)])
def test_a_curve_that_never_moves_gets_no_figure(stage: Path, step_up: float, n_figures: int) -> None:
    rows = History.read(stage / "history.csv").rows
    History(stage / "history.csv", [{**row, "val_accuracy": 0.1 + step_up * i} for i, row in enumerate(rows)])
    html = write_training_report(stage).read_text()
    assert html.count("<svg") == n_figures  # loss, learning rate, gradient norm and, where it moves, the accuracy
    assert ("accuracy, validation" in html) == (step_up > 0)


def test_the_shares_of_the_time_add_up(stage: Path) -> None:
    report = training_report(stage)
    assert {"data", "forward", "backward", "update", "validate", "save"} == set(report["seconds_of_phases"])
    shares = re.findall(
        r"\| (?:data|forward|backward|update|validate|save) \| [\d.]+ \| ([\d.]+)% \|", as_markdown(report)
    )
    assert len(shares) == 6 and sum(map(float, shares)) == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"split": {"data": 3.0, "forward": 4.0, "backward": 8.0, "update": 1.0}}, "Reading data took 19%"),
        ({"skipped": 3}, "3 fp16 steps were skipped"),
        ({"best_step": 12}, "The last validation was the best one"),
        ({"best_step": 3}, "best validation was at step 3 of 12"),
        ({"warnings": ["out of memory: smaller pieces"]}, "out of memory: smaller pieces"),
    ],
)
def test_warnings(stage: Path, values: dict[str, Any], words: str) -> None:
    quiet = {"split": {"forward": 1.0}, "skipped": 0, "best_step": 10, "warnings": []}
    change(stage, **quiet)
    assert training_report(stage)["warnings"] == []
    change(stage, **values)
    (warning,) = training_report(stage)["warnings"]
    assert words in warning
    write_training_report(stage)
    assert words in (stage / "report.html").read_text() and f"> {warning}" in (stage / "report.md").read_text()


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ("running", "still running, or killed"),
        ("early", "stopped early"),
        ("InputError: loss nan", "InputError: loss nan"),
    ],
)
def test_how_it_ended(stage: Path, ended: str, words: str) -> None:
    change(stage, ended=ended)
    assert words in as_markdown(training_report(stage))


def test_a_training_without_validation_has_a_report(stage: Path) -> None:
    values = json.loads((stage / "training.json").read_text())
    for name in ("validation", "best_validation"):
        values.pop(name)
    (stage / "training.json").write_text(json.dumps({**values, "best": None, "best_step": None}))
    (stage / "history.csv").write_text("step,loss,lr\n1,0.5,0.1\n2,0.25,0.1\n")
    assert "Validation" not in as_markdown(training_report(stage))
    write_training_report(stage)


def test_text_of_a_person_is_text(stage: Path) -> None:
    change(stage, warnings=["<script>alert(1)</script>"])
    assert "<script>alert" not in write_training_report(stage).read_text()


def test_a_folder_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no training.json"):
        training_report(tmp_path)
