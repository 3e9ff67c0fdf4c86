"""The report of one training: the same facts three times, and what a person would say about them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError, printable
from motionlab.files.records import write_record
from motionlab.jobs.run_folder import Run
from motionlab.jobs.training_report import as_markdown, training_report, write_training_report
from motionlab.training.reporting.history import History


@pytest.fixture
def stage(finished_run: Run, tmp_path: Path) -> Path:
    """The decoder's training of a copied run."""
    return shutil.copytree(finished_run.folder, tmp_path / "tiny run") / "llama"


def change(stage: Path, **values: Any) -> None:
    path = stage / "training.json"
    write_record(path, {**json.loads(path.read_text()), **values})


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
    change(stage, validation={}, best_validation={}, best=None, best_step=None)
    (stage / "history.jsonl").unlink()
    (stage / "history.csv").write_text("step,loss,lr\n1,0.5,0.1\n2,0.25,0.1\n")
    assert "Validation" not in as_markdown(training_report(stage))
    write_training_report(stage)


def test_text_of_a_person_is_text(stage: Path) -> None:
    change(stage, warnings=["<script>alert(1)</script>"])
    assert "<script>alert" not in write_training_report(stage).read_text()


def test_text_that_a_terminal_would_act_on_is_escaped(stage: Path) -> None:
    change(stage, warnings=["\x1b[31mred"], ended="\x1b[2J", facts={"\x07": "\ud800", "parameters": "a\nb\x1b"})
    (stage / "history.jsonl").unlink()
    (stage / "history.csv").write_text("step,loss,lr,val_$a$\n1,0.5,0.1,2\n2,0.25,0.1,3\n")
    write_training_report(stage)
    for name in ("report.html", "report.md", "report.json"):
        text = (stage / name).read_text(encoding="utf-8")
        assert printable(text, lines=True) == text
    assert "\\x1b[31mred" in (stage / "report.md").read_text() and "$a$" in (stage / "report.html").read_text()


def test_a_folder_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.json: found no file.*Train first"):
        training_report(tmp_path)
