"""A command that is stopped from outside: what it keeps, says and returns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from motionlab.interrupt import Stopped
from tests.commands.recorders import failing_job, run_cli


@pytest.mark.parametrize(
    ("stop", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "motionlab: interrupted\n"),
        (Stopped("saved", signal.SIGINT), 130, "motionlab: interrupted: saved; the same command continues\n"),
        (Stopped("saved", signal.SIGTERM), 143, "motionlab: interrupted: saved; the same command continues\n"),
    ],
)
def test_an_interrupt_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stop: BaseException, code: int, told: str
) -> None:
    failing_job(monkeypatch, stop)
    assert run_cli("run", "--preset", "ci") == code
    assert capsys.readouterr().err == told


def hear_ctrl_c() -> None:
    """A shell starts what runs in the background with SIGINT ignored, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# A process takes ten seconds, so each kind of work meets one signal. What the other one does to it is tested in this
# process: above, and in tests/test_interrupt.py.
@pytest.mark.skipif(os.name == "nt", reason="SIGTERM cannot be caught")
def test_other_work_that_is_stopped_leaves_no_half_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "motionlab", "prepare", "--preset", "ci", "corpus.n_train=2000"]
    environment = {**os.environ, "MOTIONLAB_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stderr is not None
        while process.poll() is None and not list(tmp_path.glob("cache/.corpus-*/train")):
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        printed = process.communicate()[1]
    assert process.returncode == 143 and printed == "motionlab: interrupted\n"
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent")
def test_a_training_that_is_stopped_saves_and_says_so(tmp_path: Path) -> None:
    words = ["train", "tokenizer", "--preset", "ci", "--out", str(tmp_path), "tokenizer_training.steps=100000"]
    command = [sys.executable, "-m", "motionlab", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        history = tmp_path / "ci" / "tokenizer-fsq" / "history.csv"
        while process.poll() is None and not (history.exists() and history.read_text().count("\n") > 1):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        printed = process.communicate()[1]
    assert process.returncode == 130, printed
    assert "motionlab: interrupted: saved after step" in printed and "the same command continues" in printed
    assert (history.parent / "checkpoints" / "last.json").exists()
