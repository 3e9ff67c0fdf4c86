"""How exercises behave: fallback, note, check, hints, solutions."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.teaching.exercise import Folded, all_exercises, check, exercise, hint, run_check, solution, start_lesson


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLAB_SOLUTIONS", raising=False)
    start_lesson("03")


def unfinished():
    @exercise("fsq.round_ste")
    def round_ste(x):
        raise NotImplementedError

    return round_ste


def test_an_unfinished_exercise_lets_later_cells_run(capsys: pytest.CaptureFixture[str]) -> None:
    function = unfinished()
    assert function(torch.tensor([0.7])).item() == 1.0
    function(torch.tensor([0.2]))
    assert capsys.readouterr().out == "⏳ fsq.round_ste is not written yet: the reference answers in its place.\n"
    start_lesson("03")  # the reader runs the lesson again
    function(torch.tensor([0.2]))
    assert "not written yet" in capsys.readouterr().out


def test_the_check_does_not_check_the_reference_for_the_reader(capsys: pytest.CaptureFixture[str]) -> None:
    check(unfinished())
    assert capsys.readouterr().out.startswith("⏳ fsq.round_ste: not written yet.")


def test_a_wrong_answer_is_used_and_diagnosed(capsys: pytest.CaptureFixture[str]) -> None:
    @exercise("fsq.round_ste")
    def round_ste(x):
        return x.round()

    assert round_ste(torch.tensor([0.7])).item() == 1.0
    check(round_ste)
    assert capsys.readouterr().out.startswith("✗ fsq.round_ste: the gradient is zero")


def test_solutions_mode_swaps_the_reference_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLAB_SOLUTIONS", "1")
    function = unfinished()
    check(function)
    function(torch.tensor([0.7]))
    out = capsys.readouterr().out
    assert out.startswith("✓") and "not written" not in out


def test_solutions_mode_raises_when_a_reference_rots(monkeypatch: pytest.MonkeyPatch) -> None:
    function = unfinished()
    monkeypatch.setenv("MOTIONLAB_SOLUTIONS", "1")
    with pytest.raises(AssertionError, match="not written yet"):
        check(function)  # decorated before: still the stub


def test_every_exercise_is_complete() -> None:
    names = [task.name for task in all_exercises()]
    assert len(names) == len(set(names)) >= 3
    for task in all_exercises():
        assert len(task.hints) >= 2 and task.praise.endswith(".")
        assert run_check(task.name, task.reference).startswith("✓")
        assert f"def {task.reference.__name__}" in solution(task.name).body
        assert inspect.signature(task.reference).parameters


def test_folded_text_is_html_and_still_has_a_short_repr() -> None:
    folded = hint("fsq.round_ste", 2)
    assert repr(folded) == "▸ Hint 2 of 2 for fsq.round_ste"
    assert "<details>" in folded._repr_html_()
    assert "<script>" not in Folded("a", "<script>")._repr_html_()


def test_names_that_do_not_exist() -> None:
    with pytest.raises(InputError, match="fsq.rond"):
        exercise("fsq.rond")
    with pytest.raises(InputError, match="1 to 2"):
        hint("fsq.round_ste", 9)
    with pytest.raises(InputError, match="decorator"):
        check(lambda x: x)


def test_without_lessons_it_says_where_they_are(root: Path, tmp_path: Path) -> None:
    """An installed package has no lessons: `ml.setup` works there, and an exercise ends with one clear error."""
    code = "import motionlab as ml\nml.setup('03')\nml.exercise('fsq.round_ste')"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stdout.startswith("lesson 03")
    message = ended.stderr.strip().splitlines()[-1]
    assert "'fsq.round_ste': found no lessons" in message and "Clone the repository" in message
