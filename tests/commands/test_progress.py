"""`motionlab progress`: what it prints and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from motionlab import cli
from motionlab.errors import InputError
from motionlab.teaching.progress import EMPTY, load


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("MOTIONLAB_PROGRESS", str(path))
    return path


def progress(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["progress", *words])
    return int(ended.value.code or 0)


def test_the_table_from_any_folder(file: Path, tmp_path: Path, root: Path) -> None:
    file.write_text(EMPTY.with_opened("00").with_answer("05", "before", 2).text(), encoding="utf-8")
    command = [sys.executable, "-m", "motionlab", "progress"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["lesson", "opened", "exercises", "confidence"]
    assert len(lines) == 2 + len(list(root.glob("notebooks/*.ipynb"))) and lines[-1] == "next: lesson 00"
    assert lines[6].startswith("05 rope ") and lines[6].endswith("2 -> -")


def test_json_is_the_record(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert progress("--json") == 0
    assert json.loads(capsys.readouterr().out) == {"format": 1, "opened": {}, "exercises": {}, "confidence": {}}
    text = EMPTY.with_check("a.b", False).text()
    file.write_text(text, encoding="utf-8")
    assert progress("--json") == 0 and capsys.readouterr().out == text


def test_reset_says_where_the_copy_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert progress("--reset") == 0 and capsys.readouterr().out == f"nothing kept in {file}\n"
    file.write_text("damaged", encoding="utf-8")
    assert progress("--reset") == 0
    emptied, copy = capsys.readouterr().out.splitlines()
    assert emptied == f"emptied: {file}" and load(file) == EMPTY
    assert Path(copy.removeprefix("copy: ")).read_text(encoding="utf-8") == "damaged"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_damaged_file_is_one_line(file: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("damaged", encoding="utf-8")
    assert progress(*words) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and f"{file}: found" in printed and "progress --reset" in printed


def test_switched_off_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MOTIONLAB_PROGRESS", "off")
    assert progress() == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "MOTIONLAB_PROGRESS: found off, so nothing is kept" in printed


def test_without_a_checkout_it_says_what_is_missing(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> Path:
        raise InputError("notebooks", found="no such folder here", expected="the project's checkout", fix="Clone it.")

    monkeypatch.setattr("motionlab.commands.progress.notebooks_folder", nowhere)
    assert progress() == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert progress("--json") == 0
