"""`motionlab evaluate` and `motionlab compare`: what reaches the jobs, and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from motionlab.config import load_config
from motionlab.jobs.run_folder import Run
from tests.commands.recorders import run_cli


def test_evaluate_prints_the_scores_and_the_report(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "x", load_config("ci"))
    assert run_cli("evaluate", "--run", str(tmp_path / "x")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["seen-pairs", "score", "clips"],
        ["real", "100.0%", "4"],
        ["generated", "50.0%", "4"],
    ]
    assert "a difference counts only if" in lines[-2]
    assert lines[-1] == f"report: {tmp_path / 'x' / 'report.html'}"


def test_compare_gives_both_groups_to_the_job(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("compare", "a", "b", "--against", "c", "--against", "d") == 0
    assert capsys.readouterr().out == "the table\n"
    assert jobs["describe_comparison"][0] == ([Path("a"), Path("b")], [Path("c"), Path("d")])
    assert run_cli("compare", "a") == 0 and jobs["describe_comparison"][0] == ([Path("a")], [])


def test_evaluate_keeps_settings_that_shape_no_weights(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "x", load_config("ci"))
    words = ["evaluate", "--run", str(tmp_path / "x")]
    assert run_cli(*words, "sampling.temperature=0.8", "evaluation.n_generate=2") == 0
    for config in (jobs["evaluate"][0][0].config, Run.open(tmp_path / "x").config):
        assert (config.sampling.temperature, config.evaluation.n_generate) == (0.8, 2)
    assert run_cli(*words, "sampling.temperature=0") == 2
    assert "config.yaml: sampling.temperature: found 0.0" in capsys.readouterr().err
    assert run_cli(*words, "llama.dim=64", "sampling.temperature=0.7") == 2
    assert "settings that shape weights: llama.dim 32 -> 64, expected changes of" in capsys.readouterr().err
    assert Run.open(tmp_path / "x").config.sampling.temperature == 0.8


def test_evaluate_needs_a_run(jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("evaluate", "--run", str(tmp_path)) == 2
    assert str(tmp_path) in capsys.readouterr().err and "evaluate" not in jobs


def test_evaluate_takes_a_name_below_out(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.create(tmp_path / "x", load_config("ci"))
    assert run_cli("evaluate", "x", "sampling.temperature=0.8", "--out", str(tmp_path)) == 0
    assert jobs["evaluate"][0][0].folder == tmp_path / "x" and jobs["evaluate"][0][0].config.sampling.temperature == 0.8


@pytest.mark.parametrize("words", [(), ("seed=1",), ("x", "y"), ("x", "--run", "runs/x")])
def test_evaluate_is_asked_for_one_run(
    jobs: dict[str, list[Any]], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("evaluate", *words) == 2
    assert "expected one run. Name it: evaluate vla" in capsys.readouterr().err and "evaluate" not in jobs
