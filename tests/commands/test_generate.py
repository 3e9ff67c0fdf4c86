"""`motionlab generate`: what reaches the job, and what is said about the motion."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motionlab.evaluation.judge import Lengths, SeenAction
from tests.commands.recorders import GENERATED, run_cli


def test_generate_passes_the_options_that_were_given(jobs: dict[str, list[Any]], tmp_path: Path) -> None:
    out = tmp_path / "walk.bvh"

    def given(*words: str) -> dict[str, Any]:
        assert run_cli("generate", "a person walks", "--run", "r", "--out", str(out), *words) == 0
        assert jobs["generate_file"][0] == ("a person walks", Path("r"), out)
        options = jobs["generate_file"][1]
        assert options.pop("show") is True
        engine = options.pop("engine")
        return {name: value for name, value in options.items() if value is not None} | (
            {} if engine == "torch" else {"engine": engine}
        )

    assert given() == {}
    assert given("--engine", "onnx") == {"engine": "onnx"}
    assert given("--top-k", "5", "--seed", "0") == {"top_k": 5, "seed": 0}
    assert given("--greedy", "--max-tokens", "7") == {"greedy": True, "max_tokens": 7}
    assert given("--unit", "cm") == {"unit": "cm"}
    assert given("--seconds", "2.5", "--guidance", "4") == {"seconds": 2.5, "guidance": 4.0}
    assert given("--sample", "--temperature", "0.7", "--top-p", "0.9") == {
        "greedy": False,
        "temperature": 0.7,
        "top_p": 0.9,
    }


def test_generate_says_when_a_motion_was_cut(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["generate", "a person walks", "--run", "r", "--out", str(tmp_path / "walk.bvh")]
    assert run_cli(*words) == 0
    written, cut = capsys.readouterr().out.splitlines()
    assert written.startswith(f"written: {tmp_path / 'walk.bvh'}") and "60 frames, 2.0 s" in written
    assert cut.startswith("cut at 15 tokens") and "--max-tokens" in cut
    monkeypatch.setattr(GENERATED.generated, "stopped_by", "end")
    assert run_cli(*words) == 0
    assert "cut" not in capsys.readouterr().out


def test_generate_says_how_many_actions_were_recognised(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = "names 86 % (71 to 96) of the actions right on real clips of 8 takes that it never saw"
    twice = replace(GENERATED, actions=(SeenAction("kick", 90, Lengths(36, 44, 57)),), judge=trust)
    monkeypatch.setattr(sys.modules["motionlab.jobs.generate"], "generate_file", lambda *_, **__: twice)
    assert run_cli("generate", "a person kicks", "--run", "r", "--out", str(tmp_path / "kick.bvh"), "--unit", "cm") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("recognised: about 2 actions: kick 3.0 s (one lasts 1.2 to 1.9 s in the training clips")
    assert "(by a judge that knows the actions of the run's own clips and no other; it names 86 %" in last


def test_generate_lists_the_actions_without_a_prompt(
    jobs: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = types.ModuleType("motionlab.jobs.known_actions")
    fake.describe_known = lambda run: f"the actions of {run}"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "motionlab.jobs.known_actions", fake)
    assert run_cli("generate", "--actions", "--run", "r") == 0
    assert capsys.readouterr().out == "the actions of r\n" and "generate_file" not in jobs


def test_generate_asks_for_a_prompt(jobs: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("generate", "--run", "r") == 2
    error = capsys.readouterr().err
    assert "no PROMPT" in error and "--actions" in error and not jobs


def test_generate_without_a_file_names_one_in_the_current_folder(
    jobs: dict[str, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_person_kicks.html", "a_person_kicks-2.html"):
        assert run_cli("generate", "a person kicks", "--run", "r") == 0
        assert jobs["generate_file"][0] == ("a person kicks", Path("r"), Path(name))
        assert capsys.readouterr().out.startswith(f"written: {name} (")
        (tmp_path / name).write_text("of an earlier call")


def test_generate_says_first_that_a_caption_is_outside_the_training(
    jobs: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = replace(GENERATED, outside="warning: no training caption is like 'sits down'")
    monkeypatch.setattr(sys.modules["motionlab.jobs.generate"], "generate_file", lambda *_, **__: outside)
    assert run_cli("generate", "a person sits down", "--run", "r", "--out", str(tmp_path / "sit.bvh")) == 0
    assert capsys.readouterr().out.splitlines()[1] == "warning: no training caption is like 'sits down'"
