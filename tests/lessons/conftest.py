"""Checks of exercises for the tests of all lessons. tests/teaching/test_exercise.py runs the references."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from motionlab.language import tr
from motionlab.teaching import exercise
from motionlab.teaching.exercise import find_exercise, run_check
from tests.chinese import HAN

Mutants = Mapping[str, tuple[Callable[..., Any], str]]  # mistake -> (a wrong answer, words that the verdict must hold)


def in_chinese(name: str, verdict: str) -> str:
    """The text for a Chinese reader; empty when there is nothing Chinese in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONLAB_LANG", "zh")
        problem = verdict.removeprefix(f"✗ {name}: ")
        told = tr(problem, inspect.getfile(find_exercise(name).reference), exercise.__file__)
    return told if HAN.search(told) else ""


@pytest.fixture(scope="session")
def missed_mistakes() -> Callable[[Mapping[str, Mutants]], dict[str, str]]:
    """From the mutants of each exercise to the verdicts of those that its check lets pass, does not name, or names in
    English only."""

    def missed(mutants_of: Mapping[str, Mutants]) -> dict[str, str]:
        assert all(len(mutants) >= 2 for mutants in mutants_of.values())
        verdicts = {
            f"{exercise}, {mistake}": (run_check(exercise, function), words)
            for exercise, mutants in mutants_of.items()
            for mistake, (function, words) in mutants.items()
        }
        return {
            mistake: verdict
            for mistake, (verdict, words) in verdicts.items()
            if not verdict.startswith("✗") or words not in verdict or not in_chinese(mistake.split(",")[0], verdict)
        }

    return missed
