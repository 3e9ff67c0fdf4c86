"""What the tests of all lessons ask of their exercises."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from motionlab.lessons.exercise import run_check

Mutants = Mapping[str, tuple[Callable[..., Any], str]]  # mistake -> (a wrong answer, words that the verdict must hold)


@pytest.fixture(scope="session")
def missed_mistakes() -> Callable[[str, Mutants], dict[str, str]]:
    """The verdicts of those wrong answers that a check lets pass, or does not name."""

    def missed(exercise: str, mutants: Mutants) -> dict[str, str]:
        verdicts = {mistake: (run_check(exercise, function), words) for mistake, (function, words) in mutants.items()}
        return {
            mistake: verdict
            for mistake, (verdict, words) in verdicts.items()
            if not verdict.startswith("✗") or words not in verdict
        }

    return missed
