"""A third stage is one folder and one registration: trained, resumed, reported and started from the command line."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from motionlab import cli
from motionlab.config import TrainConfig, load_config
from motionlab.config import run as run_section
from motionlab.errors import InputError
from motionlab.jobs import stages
from motionlab.jobs.list_runs import describe_runs
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train import train
from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.reporting.history import History

TIMES = ("seconds", "items_per_second")
SHORT = [
    f"toy_training.{text}"
    for text in ("steps=9", "batch_size=8", "warmup_steps=2", "lr=0.05", "val_every=3", "save_every=4", "log_every=1")
]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the toy stage for one test."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(stages, "STAGES", {**stages.STAGES})
    monkeypatch.setattr(run_section, "_SECTIONS", {})
    stages.register(importlib.import_module("toy_stage").ENTRY)


def run_cli(*words: str) -> int:
    try:
        cli.main(list(words))
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def train_words(out: Path, *more: str) -> list[str]:
    return ["train", "toy", "--preset", "ci", "--out", str(out), *SHORT, *more]


def make_run(folder: Path, *more: str) -> Run:
    return Run.create(folder, load_config("ci", [*SHORT, *more]))


def trained(run: Run, watch: Any = None) -> Any:
    stage = stages.stage_class("toy")(run, prepare(run.config))
    train(stage, watch)
    return stage.model


def test_the_command_line_trains_and_reports_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(*train_words(tmp_path, "toy.width=3", "--auto-batch", "--deterministic")) == 0
    place = tmp_path / "ci" / "toy"
    assert capsys.readouterr().out.endswith(f"trained: {place}\nreport: {place / 'report.html'}\n")
    kept = yaml.safe_load((tmp_path / "ci" / "config.yaml").read_text())
    assert kept["toy"] == {"width": 3}
    assert kept["toy_training"]["auto_batch"] is True and kept["toy_training"]["deterministic"] is True
    report = json.loads((place / "report.json").read_text())
    assert report["name"] == "ci/toy" and report["ended"] == "done"
    assert report["steps"] == report["steps_planned"] == 9
    history = History.read(place / "history.csv")
    assert report["best"] == {"metric": "error", "value": min(history.points("val_error")[1]), "step": 9}
    assert len(history.column("largest")) == 9
    assert (place / "model.safetensors").is_file()
    head, line = describe_runs(tmp_path).splitlines()
    assert head.startswith("training") and line.split()[:4] == [
        "ci/toy",
        "9/9",
        "done",
        f"{history.column('loss')[-1]:.4g}",
    ]
    # Once more: it is finished, so nothing is trained. With other settings: refused.
    assert run_cli(*train_words(tmp_path, "toy.width=3", "--auto-batch", "--deterministic")) == 0
    assert History.read(place / "history.csv").rows == history.rows
    assert run_cli(*train_words(tmp_path, "toy.width=5")) == 2


def test_a_stop_leaves_no_trace(tmp_path: Path) -> None:
    whole, stopped = make_run(tmp_path / "whole"), make_run(tmp_path / "stopped")
    trained(whole)

    def power_fails(number: int) -> None:
        if number == 6:
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        trained(stopped, power_fails)
    assert not (stopped.stage_folder("toy") / "model.safetensors").exists(), "it is not finished"
    asked: list[int] = []
    trained(Run.open(stopped.folder), asked.append)
    assert [number for number in asked if number < 100] == [4, 5, 6, 7, 8]
    a, b = (read_checkpoint(run.stage_folder("toy") / "checkpoints")[0] for run in (whole, stopped))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    rows = [
        [{name: value for name, value in row.items() if name not in TIMES} for row in History.read(path).rows]
        for path in (run.stage_folder("toy") / "history.csv" for run in (whole, stopped))
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 9


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([2.0, 1.0, 3.0])  # at the steps 3, 6 and 9
    monkeypatch.setattr(stages.stage_class("toy"), "validate", lambda self: {"error": next(errors)})
    run = make_run(tmp_path / "run")
    model = trained(run)
    last, best = (read_checkpoint(run.stage_folder("toy") / "checkpoints", name)[0] for name in ("last", "best"))
    assert not torch.equal(last["model.0.weight"], best["model.0.weight"])
    assert torch.equal(model[0].weight, best["model.0.weight"]) and not model.training


def test_a_stage_without_validation_keeps_its_last_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.stage_class("toy"), "validate", None)
    run = make_run(tmp_path / "run")
    model = trained(run)
    last = read_checkpoint(run.stage_folder("toy") / "checkpoints", "last")[0]
    assert torch.equal(model[0].weight, last["model.0.weight"]) and not model.training
    assert (run.stage_folder("toy") / "model.safetensors").is_file()


def test_its_settings_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("config", "--preset", "ci", "toy.width", "toy_training.lr") == 0
    printed = capsys.readouterr().out
    assert "toy.width: hidden numbers" in printed and "toy_training.lr: " in printed
    assert run_cli("config", "--preset", "ci", "toy.widht") == 2
    assert "Did you mean toy.width?" in capsys.readouterr().err


@dataclasses.dataclass
class Plain:
    """No section: its fields have no rules."""

    width: int = 4


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("llama", TrainConfig, "llama"),
        ("seed", TrainConfig, "seed"),
        ("toy", Plain, "Section"),
        ("a b", TrainConfig, "letters"),
    ],
)
def test_a_section_that_cannot_be_added_is_refused_at_once(name: str, kind: type, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        stages.register(stages.StageEntry("other", "nowhere:Nothing", {name: kind}))
    assert "other" not in stages.STAGES and load_config("ci").name == "ci"


def test_too_little_memory_is_answered_by_smaller_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = stages.stage_class("toy")
    step = kind.step

    def limited(self: Any, batch: torch.Tensor) -> Any:
        if len(batch) > 4 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return step(self, batch)

    monkeypatch.setattr(kind, "step", limited)
    with pytest.raises(InputError, match="activations of 8 samples"):
        trained(make_run(tmp_path / "refused"))
    run = make_run(tmp_path / "cut", "toy_training.auto_batch=true")
    trained(run)
    assert read_checkpoint(run.stage_folder("toy") / "checkpoints")[1]["counters"]["pieces"] == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", "toi"], "expected one of tokenizer, llama, vla_pretrain, vla, toy. Did you mean 'toy'?"),
        (["train", "toy", "toy.width=0"], "toy.width: found 0"),
        (["train", "toy", "toy_training.stepz=3"], "Did you mean toy_training.steps?"),
        (["train", "toy", "--variant", "blue"], "train toy: found variant 'blue'"),
        (["train", "llama", "--quantizer", "fsq"], "train llama: found variant 'fsq'"),
        (["train", "tokenizer", "--quantizer", "fsk"], "quantizer: found 'fsk'"),
    ],
)
def test_wrong_words_are_refused_before_any_work(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*words, "--preset", "ci", "--out", str(tmp_path / "runs")) == 2
    printed = capsys.readouterr()
    assert named in printed.err and printed.err.count("\n") == 1
    assert printed.out == "" and not (tmp_path / "runs").exists()


def test_without_the_registration_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config("ci").toy.width == 4  # type: ignore[attr-defined]
    assert load_config("ci") == load_config("ci")
    monkeypatch.setattr(run_section, "_SECTIONS", {})
    assert not hasattr(load_config("ci"), "toy")
    with pytest.raises(InputError, match="an unknown key"):
        load_config("ci", ["toy.width=3"])


@pytest.mark.parametrize("name", ["two-words", "a/b", ""])
def test_a_name_must_be_told_from_its_variant(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        stages.register(stages.StageEntry(name, "nowhere:Nothing"))
