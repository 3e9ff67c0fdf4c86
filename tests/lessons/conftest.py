"""Checks of exercises for the tests of all lessons. tests/teaching/test_exercise.py runs the references."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from motionlab.teaching.exercise import run_check

Mutants = Mapping[str, tuple[Callable[..., Any], str]]  # mistake -> (a wrong answer, words that the verdict must hold)


@pytest.fixture(scope="session")
def missed_mistakes() -> Callable[[Mapping[str, Mutants]], dict[str, str]]:
    """From the mutants of each exercise to the verdicts of those that its check lets pass, or does not name."""

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
            if not verdict.startswith("✗") or words not in verdict
        }

    return missed
