"""`motionlab lab` and `motionlab doctor`: what they start, and what they find missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.commands.recorders import run_cli


def test_lab_starts_jupyter_on_the_notebooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    settings: list[str] = []

    def call(command: list[str], env: dict[str, str]) -> int:
        started.append(command)
        settings.append(env["JUPYTER_CONFIG_PATH"])
        return 3

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    monkeypatch.setattr(subprocess, "call", call)
    (tmp_path / "notebooks" / "lessons").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run_cli("lab", "--no-browser", "--port", "8889") == 3
    (command,) = started
    assert command[1:4] == ["-m", "jupyterlab", str(tmp_path / "notebooks")]
    assert command[4:7] == ["--no-browser", "--port", "8889"]
    assert settings == [f"{tmp_path / 'notebooks' / '.jupyter'}{os.pathsep}mine"]
    assert ("--allow-root" in command) == (hasattr(os, "geteuid") and os.geteuid() == 0)


def test_lab_without_jupyter_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_cli("lab") == 2
    assert 'pip install "motionlab[notebooks]"' in capsys.readouterr().err


def test_doctor_exits_with_1_when_something_needed_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from motionlab.jobs import doctor

    monkeypatch.setattr(
        doctor, "doctor", lambda: [doctor.Row("numpy", "not installed", "missing", "pip install numpy")]
    )
    assert run_cli("doctor") == 1
    printed = capsys.readouterr().out
    assert "-> pip install numpy" in printed and "Missing: numpy." in printed


def test_a_wrong_variable_stops_every_command_but_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "abc")
    assert run_cli("config", "seed") == 2
    assert "OMP_NUM_THREADS=abc" in capsys.readouterr().err
    assert run_cli("doctor") == 1
    assert "OMP_NUM_THREADS=abc in the environment; a whole number" in capsys.readouterr().out
