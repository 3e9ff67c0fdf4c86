"""Jobs that write into one place take turns, and clean up after those that were killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motionlab.cli import main
from motionlab.config import load_config
from motionlab.errors import InputError, MissingExtra
from motionlab.files.litter import temporary_prefix
from motionlab.files.lock import IN_USE, using
from motionlab.jobs.ablations.strategies import ablate_strategies
from motionlab.jobs.ablations.tokenizer import ablate, alone
from motionlab.jobs.main_job import run
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train import train_stage
from motionlab.jobs.train_tokenizer import train_tokenizer

SHORT = ["tokenizer_training.steps=2", "tokenizer_training.warmup_steps=0", "tokenizer_training.save_every=2"]


@contextlib.contextmanager
def held(context: Callable[[], contextlib.AbstractContextManager[None]]) -> Iterator[None]:
    """Somebody else, here a thread, holds a lock."""
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with context():
            ready.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("job", ["run", "train", "evaluate"])
def test_a_second_job_in_a_run_is_refused_before_it_writes(
    job: str, tmp_path: Path, finished_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ci"
    Run.create(folder, load_config("ci"))
    with held(lambda: using(folder)):
        before = contents(folder)
        if job == "evaluate":
            with pytest.raises(SystemExit) as ended:
                main(["evaluate", "--run", str(folder)])
            assert ended.value.code == 2 and "expected one process at a time" in capsys.readouterr().err
        else:
            with pytest.raises(InputError, match=r"ci: found .* at work.*expected one process at a time"):
                run(load_config("ci"), folder) if job == "run" else train_stage("llama", load_config("ci"), folder)
        assert contents(folder) == before
    assert not (folder / IN_USE).exists()


def test_a_training_from_a_notebook_and_one_from_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that calls `train_tokenizer` holds the folder of the stage."""
    config = load_config("ci", SHORT)
    this, splits = Run.create(tmp_path / "ci", config), prepare(config)
    monkeypatch.setattr("motionlab.files.lock.ORPHANS", 0.1)
    with held(lambda: using(this.tokenizer_folder("fsq"))):
        with pytest.raises(InputError, match="tokenizer-fsq: found another thread"):
            train_tokenizer(this, splits)
        with pytest.raises(InputError, match="tokenizer-fsq: found another thread"):
            train_stage("tokenizer", config, this.folder)
    train_tokenizer(this, splits)


@pytest.mark.parametrize("kind", ["tokenizer", "strategies"])
def test_two_ablations_of_one_file(kind: str, tmp_path: Path, finished_run: Run) -> None:
    out = tmp_path / "rows.jsonl"
    with held(lambda: alone(out)), pytest.raises(InputError, match="one process at a time"):
        if kind == "tokenizer":
            ablate(out, {"seed": [0]})
        else:
            ablate_strategies(finished_run.folder, out, {"seed": [0]})
    assert list(tmp_path.iterdir()) == []


def gone(stem: str) -> str:
    """The beginning of a temporary name of a process that has ended: none has this number."""
    return temporary_prefix(stem).replace(str(os.getpid()), "999999999")


def test_litter_of_killed_processes_goes_with_the_next_start(tmp_path: Path, private_cache: Path) -> None:
    folder = tmp_path / "ci"
    litter = [
        folder / f"{gone('config')}k3v9x2ab.yaml",
        folder / "tokenizer-fsq" / f"{gone('history')}k3v9x2ab.csv",
        private_cache / f"{gone('corpus-0')}k3v9x2ab" / "clips.npy",
        private_cache / "text" / f"{gone('index')}k3v9x2ab.json",
    ]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    train_stage("tokenizer", load_config("ci", SHORT), folder)
    assert [path for path in litter if path.exists()] == []
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") or path.name == IN_USE]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_logger_is_found_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    jobs: list[Callable[[Any], object]] = [
        lambda config: run(config, tmp_path / "run"),
        lambda config: train_stage("llama", config, tmp_path / "run"),
    ]
    for job in jobs:
        with pytest.raises(MissingExtra, match=name):
            job(load_config("ci", [f"llama_training.loggers=[{name}]"]))
    assert not (tmp_path / "run").exists() and capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_run_that_is_killed_while_two_processes_train(tmp_path: Path, root: Path) -> None:
    """Nothing is said on a terminal after the kill; the next start says one line, and waits for those that save."""
    command = [sys.executable, "-m", "motionlab", "run", "--preset", "ci", "--out", str(tmp_path), "--name", "it"]
    command += ["tokenizer_training.steps=100000", "tokenizer_training.save_every=5"]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "2", "COLUMNS": "80"}
    folder = tmp_path / "it"

    def start(log: Path) -> subprocess.Popen[str]:
        with open(log, "w") as file:
            return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, text=True, env=environment)

    def until_both_train() -> None:
        before = saved()
        deadline = time.monotonic() + 300  # generous: the machine may be busy
        while len(saved() - before) < 2 or len(list(folder.glob(f"*/{IN_USE}"))) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)

    def saved() -> set[tuple[str, int]]:
        return {(str(path), path.stat().st_mtime_ns) for path in folder.glob("*/checkpoints/last.json")}

    process = start(tmp_path / "first")
    until_both_train()
    process.kill()
    process.wait()
    process = start(tmp_path / "second")
    while "-- tokenizers" not in (tmp_path / "second").read_text():
        assert process.poll() is None, (tmp_path / "second").read_text()
        time.sleep(0.02)
    until_both_train()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert (tmp_path / "second").read_text().count("taken over from process") == 1
    for name in ("first", "second"):
        assert "resource_tracker" not in (tmp_path / name).read_text()
    left = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".") or path.name == IN_USE]
    assert left == []
