"""`motionlab run`, `train`, `runs` and `ablate`: what reaches the jobs."""

from __future__ import annotations

import platform
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from motionlab.jobs.ablations.tokenizer import MAX_POINTS
from tests.commands.recorders import run_cli


def test_run_gives_the_config_and_the_folder_to_the_job(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    code = run_cli(
        "run", "--preset", "ci", "--name", "first", "--out", str(tmp_path), "llama_training.lr=2e-4", "seed=3"
    )
    (config, folder), _ = jobs["run"]
    assert code == 0
    assert (config.name, config.seed, config.llama_training.lr) == ("first", 3, 2e-4)
    assert folder == tmp_path / "first"


def test_the_name_of_a_run_comes_from_its_config(jobs: dict[str, list[Any]]) -> None:
    assert run_cli("run", "--preset", "ci") == 0
    (config, folder), _ = jobs["run"]
    assert folder == Path("runs") / config.name


def test_a_name_that_looks_like_a_number_stays_text(jobs: dict[str, list[Any]]) -> None:
    assert run_cli("run", "--preset", "ci", "--name", "007") == 0
    assert jobs["run"][0][0].name == "007"


@pytest.mark.parametrize("words", [["--name", "../elsewhere"], ["--name", "a/b"], ["--name", ""], ["name='..'"]])
def test_a_name_cannot_leave_the_folder(
    jobs: dict[str, list[Any]], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("run", "--preset", "ci", *words) == 2
    assert "expected the name of one folder" in capsys.readouterr().err and not jobs


@pytest.mark.parametrize("stage", ["tokenizer", "llama"])
def test_train_gives_the_stage_its_config_and_folder(jobs: dict[str, list[Any]], stage: str, tmp_path: Path) -> None:
    words = ["train", stage, "--preset", "ci", "--out", str(tmp_path), "--name", "x", "--auto-batch", "--deterministic"]
    assert run_cli(*words) == 0
    (called, config, folder, *_), _ = jobs["train_stage"]
    assert (called, config.name, folder) == (stage, "x", tmp_path / "x")
    other = {"tokenizer": "llama", "llama": "tokenizer"}[stage]
    for name, on in ((stage, True), (other, False)):
        training = getattr(config, f"{name}_training")
        assert training.auto_batch is on and training.deterministic is on


def test_train_tokenizer_takes_another_quantizer(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    assert run_cli("train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "--quantizer", "vq_ema") == 0
    assert jobs["train_stage"][0][3] == "vq_ema"


def test_runs_prints_the_list(jobs: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("runs", "tiny", "laptop/llama", "--out", "elsewhere") == 0
    assert jobs["describe_runs"][0] == (Path("elsewhere"), ["tiny", "laptop/llama"])
    assert capsys.readouterr().out == "the list\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--grid", "quantizer=fsq,vq_ema", "codebook_size=256,1024", "seed=0,1"],
        ["--grid", "quantizer=fsq,vq_ema", "--grid", "codebook_size=256,1024", "--grid", "seed=0,1"],
        ["quantizer=fsq,vq_ema", "codebook_size=256,1024", "tokenizer_training.seed=0,1"],
    ],
)
def test_ablate_gives_the_grid_to_the_job(
    ablation: list[Any], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert run_cli("ablate", "tokenizer", *words, "--out", str(out), "--workers", "2") == 0
    axes = {"quantizer": ["fsq", "vq_ema"], "codebook_size": [256, 1024], "seed": [0, 1]}
    assert ablation == [((out, axes), {"workers": 2, "max_points": MAX_POINTS})]
    assert capsys.readouterr().out == f"numbers: {out}\npicture: {tmp_path / 'out.png'}\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--grid", "quantiser=fsq"], "Did you mean quantizer?"),
        (["--grid", "codebook_size"], "key=value,value"),
        ([], "no axis"),
    ],
)
def test_a_wrong_grid_is_one_line(
    ablation: list[Any], words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli("ablate", "tokenizer", *words) == 2
    printed = capsys.readouterr().err
    assert named in printed and printed.count("\n") == 1 and ablation == []


def test_the_report_is_opened_only_where_there_is_a_display(
    jobs: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run_cli("run", "--preset", "ci", "--out", str(tmp_path), "--open")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    run_cli("run", "--preset", "ci", "--out", str(tmp_path))
    assert opened == []
    run_cli("run", "--preset", "ci", "--out", str(tmp_path), "--open")
    assert len(opened) == 1 and opened[0].startswith("file://") and opened[0].endswith("report.html")
