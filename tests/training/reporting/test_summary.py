"""`training.json` exists from the first step on, says what happened, and survives a stop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.training.checkpoints.state import Counters
from motionlab.training.reporting.summary import WARNINGS, Summary, load_summary, read_summary


def test_a_training_leaves_its_summary(toy: Callable[..., Any], settings: Callable[..., Any], tmp_path: Path) -> None:
    toy().fit(tmp_path, settings(), hooks=[Summary(tmp_path / "training.json")])
    summary = load_summary(tmp_path / "training.json")
    assert (summary.step, summary.items, summary.skipped, summary.ended) == (10, 80, 0, "done")
    assert summary.best == summary.best_validation["loss"] and summary.best_step in (4, 8, 10)
    assert summary.facts["processes"] == "1" and "inner" in summary.facts["parameters"]
    assert summary.split["forward"] > 0 and summary.versions["torch"]


def test_the_error_that_ended_it_is_its_last_word(
    toy: Callable[..., Any], settings: Callable[..., Any], tmp_path: Path
) -> None:
    trained = toy()

    def batches(i: int) -> Any:
        return trained.batches(i) * (math.nan if i == 5 else 1.0)

    with pytest.raises(InputError, match="step 6"):
        trained.fit(tmp_path, settings(), batches=batches, hooks=[Summary(tmp_path / "training.json")])
    assert load_summary(tmp_path / "training.json").ended.startswith("InputError: training step 6")


def test_it_is_there_while_the_training_runs(tmp_path: Path) -> None:
    summary = Summary(tmp_path / "training.json")
    summary.started(Counters(), {"device": "cpu"})
    assert load_summary(tmp_path / "training.json").ended == "running"
    summary.validated(Counters(step=3, best=0.5, best_step=3), {"loss": 0.5, "other": math.nan}, True)
    summary.validated(Counters(step=6, best=0.5, best_step=3), {"loss": 0.7, "other": 1.0}, False)
    values = json.loads((tmp_path / "training.json").read_text())
    assert values["best_validation"] == {"loss": 0.5, "other": None} and values["validation"]["loss"] == 0.7


def test_warnings_are_kept_over_a_stop_and_not_without_end(tmp_path: Path) -> None:
    first = Summary(tmp_path / "training.json")
    first.warned("before the start")
    first.started(Counters(), {})
    first.ended(Counters(step=4), "Stopped: saved")
    again = Summary(tmp_path / "training.json")
    again.started(Counters(step=4), {})
    for i in range(100):
        again.warned(f"warning {i}")
    again.ended(Counters(step=8), "done")
    warnings = load_summary(tmp_path / "training.json").warnings
    assert warnings[:2] == ["before the start", "warning 0"] and len(warnings) == WARNINGS
    fresh = Summary(tmp_path / "training.json")
    fresh.started(Counters(), {})
    assert load_summary(tmp_path / "training.json").warnings == []


def test_no_summary_stops_no_training(tmp_path: Path) -> None:
    assert read_summary(tmp_path / "training.json") is None
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(InputError, match=r"training\.json: found .*, expected the summary of a training"):
        load_summary(tmp_path / "training.json")
    assert read_summary(tmp_path / "training.json") is None
