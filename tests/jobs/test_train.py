"""One stage on its own: its output, its files, and the settings with which it may continue."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from motionlab.config import RunConfig, from_mapping, load_config
from motionlab.errors import InputError
from motionlab.jobs.evaluate import evaluate
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train import train_stage
from motionlab.jobs.train_llama import train_llama
from motionlab.training.reporting.history import History

SHORT = ["tokenizer_training.steps=4", "tokenizer_training.val_every=2", "tokenizer_training.save_every=2"]


def test_the_settings_are_printed_first_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config("ci", SHORT)
    place = train_stage("tokenizer", config, tmp_path / "run")
    printed = capsys.readouterr().out
    text, _, rest = printed.partition("\n\n")
    assert from_mapping(RunConfig, yaml.safe_load(text), where="printed") == config
    assert Run.open(tmp_path / "run").config == config
    assert rest.endswith(f"trained: {place}\nreport: {place / 'report.html'}\n")
    assert {"report.md", "report.json", "history.jsonl", "training.json"} <= {path.name for path in place.iterdir()}
    # Finished, and called again with settings that may change: nothing is trained again. With another rate: refused.
    train_stage("tokenizer", load_config("ci", [*SHORT, "tokenizer_training.log_every=1"]), tmp_path / "run")
    assert History.read(place / "history.csv").column("step")[-1] == 4
    with pytest.raises(InputError, match="a run with other settings"):
        train_stage("tokenizer", load_config("ci", [*SHORT, "tokenizer_training.lr=0.5"]), tmp_path / "run")


@pytest.mark.parametrize(
    ("texts", "allowed"),
    [
        (["llama_training.log_every=1", "tokenizer_training.loggers=[wandb]", "llama_training.parallel=fsdp"], True),
        (["llama_training.lr=0.1"], False),
        (["llama_training.lr=0.1", "llama_training.resume_changed=same_place"], True),
        (["llama_training.lr=0.1", "tokenizer_training.resume_changed=same_place"], False),
        (["llama.dim=64", "llama_training.resume_changed=same_place"], False),
    ],
)
def test_what_may_change_when_a_run_goes_on(tmp_path: Path, texts: list[str], allowed: bool) -> None:
    Run.create(tmp_path, load_config("ci"))
    (tmp_path / "tokenizer-fsq").mkdir()
    (tmp_path / "tokenizer-fsq" / "model.safetensors").write_bytes(b"weights")
    if not allowed:
        with pytest.raises(InputError, match="a run with other settings"):
            Run.create(tmp_path, load_config("ci", texts))
        return
    Run.create(tmp_path, load_config("ci", texts))
    assert Run.open(tmp_path).config == load_config("ci", texts)  # the newer settings are the ones that are kept


@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        ("tokenizer", "device=cuda:99"),
        ("llama", "device=cuda:99"),
        ("tokenizer", "tokenizer.width=2000000000"),
        ("llama", "llama.dim=2000000000"),
    ],
)
def test_settings_that_this_machine_cannot_meet_leave_no_file(stage: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=wrong.partition(".")[0].partition("=")[0]):
        train_stage(stage, load_config("ci", [wrong]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_wrong_setting_of_a_run_without_weights_can_be_corrected(tmp_path: Path) -> None:
    """The decoder needs a tokenizer, and these few clips no combination for a test split: both fail after the start."""
    with pytest.raises(InputError, match="tokenizer-fsq"):
        train_stage("llama", load_config("ci", SHORT), tmp_path / "order")
    train_stage("tokenizer", load_config("ci", [*SHORT, "tokenizer.width=16"]), tmp_path / "order")
    assert Run.open(tmp_path / "order").config.tokenizer.width == 16
    with pytest.raises(InputError, match="no combination of actions"):
        train_stage("tokenizer", load_config("ci", [*SHORT, "corpus.n_train=1"]), tmp_path / "clips")
    train_stage("tokenizer", load_config("ci", SHORT), tmp_path / "clips")
    assert Run.open(tmp_path / "clips").config.corpus.n_train == 48


@pytest.mark.parametrize(("batch_size", "expected"), [(8, 1), (128, 2)])
def test_little_work_is_done_by_one_thread(
    batch_size: int, expected: int, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training and scores; the threads are given back, also when a training ends with an error."""
    folder = tmp_path / "run"
    shutil.copytree(finished_run.folder, folder)
    shutil.rmtree(folder / "llama")
    run = Run.open(folder)
    run.config = replace(run.config, llama_training=replace(run.config.llama_training, batch_size=batch_size))
    splits = prepare(run.config)
    seen: list[int] = []
    monkeypatch.setattr("motionlab.jobs.evaluate._evaluate", lambda *_: seen.append(torch.get_num_threads()))

    def watch(number: int) -> None:
        seen.append(torch.get_num_threads())
        raise RuntimeError("enough")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(RuntimeError, match="enough"):
            train_llama(run, splits, watch=watch)
        assert torch.get_num_threads() == 2
        evaluate(run, splits)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [expected, expected]
