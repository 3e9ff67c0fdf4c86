"""Loggers are chosen by name, import nothing before that, and receive every row. Their packages are faked."""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.training.checkpoints.state import Counters
from motionlab.training.reporting.loggers import make_loggers

ROWS = [{"step": 2, "loss": 0.5, "lr": 1e-3}, {"step": 4, "loss": 0.25, "val_loss": math.nan, "val_accuracy": 0.75}]
CONFIG = {"name": "tiny", "llama": {"dim": 128}}


class Recorder:
    """Fakes anything: notes each call as (name, arguments, keywords)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **keywords: Any) -> Recorder:
            self.calls.append((name, arguments, keywords))
            return self

        return note

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(arguments, keywords) for called, arguments, keywords in self.calls if called == name]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Both packages, as one recorder."""
    recorder = Recorder()
    wandb, writer = types.ModuleType("wandb"), types.ModuleType("torch.utils.tensorboard")
    wandb.init = recorder.init  # type: ignore[attr-defined]
    writer.SummaryWriter = recorder.SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", writer)
    return recorder


def train(name: str, folder: Path, step: int = 0, reason: str = "done") -> None:
    (logger,) = make_loggers([name], folder, "tiny-llama", CONFIG)
    counters = Counters(step=step)
    logger.started(counters, {"device": "cpu"})
    for row in ROWS:
        logger.logged(row)
    logger.ended(counters, reason)


def test_tensorboard_gets_every_number(package: Recorder, tmp_path: Path) -> None:
    train("tensorboard", tmp_path)
    assert package.named("SummaryWriter") == [((tmp_path / "tensorboard",), {"purge_step": None})]
    scalars = [arguments for arguments, _ in package.named("add_scalar")]
    assert scalars[:2] == [("train/loss", 0.5, 2), ("train/lr", 1e-3, 2)]
    assert ("val/accuracy", 0.75, 4) in scalars
    assert "| llama.dim | 128 |" in package.named("add_text")[0][0][1]
    assert len(package.named("close")) == 1


def test_a_resumed_run_hides_what_it_does_again(package: Recorder, tmp_path: Path) -> None:
    train("tensorboard", tmp_path, step=3)
    assert package.named("SummaryWriter")[0][1] == {"purge_step": 4}


def test_wandb_gets_every_finite_number(package: Recorder, tmp_path: Path) -> None:
    train("wandb", tmp_path)
    ((_, keywords),) = package.named("init")
    assert keywords["name"] == "tiny-llama" and keywords["config"]["llama.dim"] == 128
    assert keywords["config"]["facts.device"] == "cpu"
    assert not any("key" in name for name in keywords)  # W&B reads WANDB_API_KEY itself
    logged = package.named("log")
    assert logged[0] == (({"train/loss": 0.5, "train/lr": 1e-3},), {"step": 2})
    assert logged[1][0] == ({"train/loss": 0.25, "val/accuracy": 0.75},)
    assert package.named("finish") == [((), {"exit_code": 0})]


def test_wandb_hears_of_a_failure(package: Recorder, tmp_path: Path) -> None:
    train("wandb", tmp_path, reason="InputError: loss nan")
    assert package.named("finish")[0][1] == {"exit_code": 1}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=rf'pip install "motionlab\[{name}\]"'):
        make_loggers([name], tmp_path, "x", {})


def test_an_unknown_logger(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 'mlflow', expected tensorboard or wandb"):
        make_loggers(["mlflow"], tmp_path, "x", {})


def test_none_is_the_default(tmp_path: Path) -> None:
    assert make_loggers([], tmp_path, "x", {}) == []


def test_a_logger_that_never_started_can_end(package: Recorder, tmp_path: Path) -> None:
    for logger in make_loggers(["tensorboard", "wandb"], tmp_path, "x", {}):
        logger.ended(Counters(), "InputError: no such checkpoint")
    assert package.calls == []
