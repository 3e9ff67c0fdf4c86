"""The command line: exit codes, and errors in one line. What a command hands on is tested in tests/commands."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.errors import InputError, MissingExtra, printable
from tests.commands.recorders import failing_job, run_cli


@pytest.mark.parametrize(
    "error",
    [
        InputError("walk.npy", found="a\nb", expected="c", fix="Fix it."),
        MissingExtra("transformers", extra="text", purpose="encode new captions"),
    ],
)
def test_an_error_of_the_user_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    failing_job(monkeypatch, error)
    assert run_cli("run", "--preset", "ci") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("motionlab: error: ") and printed.count("\n") == 1


def test_an_error_of_motionlab_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_job(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "--preset", "ci"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--preset", "tinny"], "Did you mean 'tiny'?"),
        (["run", "llama_training.lrr=1"], "llama_training.lr"),
        (["run", "llama.dim"], "key=value"),
        (["params", "tokenizer", "--preset", "nowhere.yaml"], "nowhere.yaml"),
        (["nonsense"], "nonsense"),
        (["run", "--temperature", "1"], "--temperature"),
    ],
)
def test_wrong_words_exit_with_2_and_name_the_cause(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(*arguments) == 2
    printed = capsys.readouterr().err
    assert named in printed and "Traceback" not in printed


def test_python_dash_m_is_the_same_command() -> None:
    import motionlab

    for word in ("version", "--version"):
        done = subprocess.run([sys.executable, "-m", "motionlab", word], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"motionlab {motionlab.__version__}\n")
    wrong = subprocess.run([sys.executable, "-m", "motionlab", "run", "--preset", "?"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stdout == "" and wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["LC_ALL", "PYTHONIOENCODING"])
def test_a_terminal_of_ascii_shows_everything(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", name: "ascii" if "IO" in name else "C"}
    path = tmp_path / "走路.yaml"
    path.write_text("走: 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "motionlab", "config", "--preset", str(path)]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, encoding="utf-8")
    assert done.returncode == 2 and done.stderr.isascii()
    assert "\\u8d70" in done.stderr.lower() or "\\udc" in done.stderr.lower()
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "memory: found MemoryError"),
        (RuntimeError("can't start new thread"), "memory: found can't start new thread"),
        (PermissionError(13, "Permission denied", "a\x1b[31m.txt"), r"a\x1b[31m.txt: found Permission denied"),
        (BrokenProcessPool("x"), "found a process that was ended from outside"),
        (InputError("\x1b]0;title\x07", found="\ud800", expected="b", fix="c"), r"\x1b]0;title\x07: found \ud800"),
    ],
)
def test_what_the_surroundings_cause_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, told: str, tmp_path: Path
) -> None:
    failing_job(monkeypatch, error)
    assert run_cli("run", "--preset", "ci", "--out", str(tmp_path)) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1 and line.rstrip("\n").isprintable()


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing_job(monkeypatch, KeyError("a bug"))
    with pytest.raises(KeyError, match="a bug"):
        cli.main(["run", "--preset", "ci", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    "words",
    [
        ["config", "seed=18446744073709551616"],
        ["run", "--preset", "ci", "--out", "x" * 300],
        ["runs", "--out", "a/" * 2500],
        ["--\x1b[31m"],
        ["train", "\x1b[31m"],
        ["run", "--name", "a\x1b[31m"],
        ["run", "--name", "a\u202eb"],
    ],
)
def test_arguments_beyond_what_is_possible_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(*words) == 2
    told = capsys.readouterr().err
    assert printable(told, lines=True) == told and "Traceback" not in told
