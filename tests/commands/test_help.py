"""The help: whole sentences, one preset, and every name that may be given."""

from __future__ import annotations

from typing import Any

import pytest

from motionlab import cli
from motionlab.config import QUANTIZERS, preset_names
from tests.commands.recorders import run_cli


def test_the_help_lists_presets_and_quantizers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("train", "tokenizer", "--help") == 0
    words = set(capsys.readouterr().out.replace(",", " ").replace(".", " ").split())
    assert words >= {*preset_names(), *QUANTIZERS}
    assert run_cli("train", "tokenizer", "--preset", "ci", "--quantizer", "vqq") == 2
    assert "quantizer: found 'vqq', expected fsq, ifsq" in capsys.readouterr().err


def test_summaries_are_whole_sentences(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["ablate"], ["params"]):
        run_cli(*words, "--help")
        summaries = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
        assert summaries and all(line.endswith(".") and not line.endswith("...") for line in summaries), summaries


def test_every_command_begins_with_the_same_preset() -> None:
    import typer

    def presets(command: Any) -> list[Any]:
        inner = [preset for each in getattr(command, "commands", {}).values() for preset in presets(each)]
        return inner + [parameter.default for parameter in command.params if parameter.name == "preset"]

    found = presets(typer.main.get_command(cli.app))
    assert len(found) >= 6 and set(found) == {"tiny"}
