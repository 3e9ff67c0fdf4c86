"""Exercises that answer back.

In a lesson:

    @ml.exercise("fsq.round_ste")
    def round_ste(x):
        raise NotImplementedError

    ml.check(round_ste)

While the body is missing, the reference answers in its place and says so: the cells below still run. `check` runs
the function on small inputs and prints one line: correct, or what is wrong and where to look. A function that raises
gets its traceback, too.
With `MOTIONLAB_SOLUTIONS=1` every exercise is its reference and every check must pass (a test does that).
"""

from __future__ import annotations

import functools
import html
import importlib.util
import inspect
import pkgutil
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motionlab.environment import switched_on
from motionlab.errors import InputError
from motionlab.language import tr
from motionlab.teaching.attempt import Attempt
from motionlab.teaching.progress import note


@dataclass(frozen=True)
class Exercise:
    """Everything that a lesson knows about one exercise.

    Args:
        name: "<topic>.<task>".
        reference: the answer; its source is the solution, its signature is that of the stub.
        diagnose: runs a function and returns None when it is right, else one sentence about what is wrong.
        praise: one sentence after "correct": what the learner has now.
        hints: from gentle to almost the answer.
        form: kinds and shapes of the arguments and of the result, as the stub announces them in a comment; the check
            tries nothing else.
    """

    name: str
    reference: Callable[..., Any]
    diagnose: Callable[[Callable[..., Any]], str | None]
    praise: str
    hints: tuple[str, ...]
    form: str

    def said(self, text: str) -> str:
        """A text of this exercise in the language of the reader, from the `zh.yaml` of its lesson."""
        return tr(text, inspect.getfile(self.reference))


_registered: dict[str, Exercise] = {}  # filled by `register`, when the folder of a lesson is imported
_announced: set[str] = set()  # exercises whose fallback note was printed since the lesson started


def register(*exercises: Exercise) -> tuple[Exercise, ...]:
    """Make exercises known by their names. The exercises file of a lesson ends with this call.

    Raises:
        ValueError: another exercise has this name.
    """
    for exercise in exercises:
        known = _registered.get(exercise.name)
        if known is not None and known.reference.__code__ != exercise.reference.__code__:
            raise ValueError(f"two exercises are called {exercise.name!r}")
        _registered[exercise.name] = exercise
    return exercises


def start_lesson(lesson: str) -> None:
    """Import the folder of a lesson, which registers its exercises, and forget which notes were printed.

    The folder of `notebooks/03_fsq_vs_vq_vae.ipynb` is `notebooks/lessons/fsq_vs_vq_vae/`. A notebook of your own may
    have another number: it starts without exercises.
    """
    _announced.clear()
    for classroom in _classroom():
        for notebook in classroom.parent.glob(f"{lesson}_*.ipynb"):
            topic = notebook.stem.removeprefix(f"{lesson}_")
            if (classroom / topic).is_dir():
                importlib.import_module(f"lessons.{topic}")


def lesson_file(number: int) -> str | None:
    """The file of a lesson, such as "05_rope.ipynb"; None where there are no lessons: an installed package has none."""
    return next((path.name for path in lesson_paths() if path.name.startswith(f"{number:02}_")), None)


def lesson_paths() -> list[Path]:
    """The notebooks of all lessons, in their order; none where there are no lessons."""
    return sorted(path for room in _classroom() for path in room.parent.glob("[0-9][0-9]_*.ipynb"))


def find_exercise(name: str) -> Exercise:
    """The exercise of a name, from the lesson that was started or from any other.

    Raises:
        InputError: no such exercise, or no lessons here: an installed package has none.
    """
    if name not in _registered:
        all_exercises()
    if not _registered:
        fix = "Clone the repository and start Python or Jupyter in its folder notebooks."
        raise InputError(f"exercise {name!r}", found="no lessons on Python's path", expected="a checkout", fix=fix)
    if name not in _registered:
        known = ", ".join(sorted(_registered))
        raise InputError("exercise", found=repr(name), expected=f"one of {known}", fix="Check the name.")
    return _registered[name]


def all_exercises() -> list[Exercise]:
    """Every exercise of every lesson: imports the folder of each."""
    for classroom in _classroom():
        for folder in pkgutil.iter_modules([str(classroom)]):
            importlib.import_module(f"lessons.{folder.name}")
    return list(_registered.values())


def _classroom() -> list[Path]:
    """`notebooks/lessons`, when Python finds it: notebooks run in the folder above it, tests name that folder."""
    found = importlib.util.find_spec("lessons")
    return [Path(place) for place in (found.submodule_search_locations or [])] if found else []


def as_number(value: Any) -> float | None:
    """The result of an attempt as a number; None when it is not one."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def as_numbers(values: Any) -> list[float] | None:
    """The result of an attempt as a list of numbers; None when it is not one."""
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def exercise(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a stub: until it has a body, calls go to the reference, with a note the first time."""
    task = find_exercise(name)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        chosen = task.reference if _solutions() else function

        @functools.wraps(function)
        def attempt(*args: Any, **kwargs: Any) -> Any:
            try:
                return chosen(*args, **kwargs)
            except NotImplementedError as error:
                if not _unwritten(error):
                    raise
                if name not in _announced:
                    _announced.add(name)
                    print(tr(f"⏳ {name} is not written yet: the reference answers in its place.", __file__))
                return task.reference(*args, **kwargs)

        attempt.exercise = name  # type: ignore[attr-defined]
        attempt.attempt = chosen  # type: ignore[attr-defined]  # without the fallback, for check()
        return attempt

    return decorate


def check(function: Callable[..., Any]) -> None:
    """Print whether an exercise is right and, when it is not, what is wrong. Never raises for a wrong answer.

    An answer of the learner's own goes into the record that `motionlab progress` shows.
    """
    name = getattr(function, "exercise", None)
    if name is None:
        raise InputError(
            "check",
            found="a function without @ml.exercise(...)",
            expected="an exercise",
            fix="Keep the decorator line.",
        )
    verdict = run_check(name, function.attempt)  # type: ignore[attr-defined]
    if _solutions() and not verdict.startswith("✓"):
        raise AssertionError(verdict)
    print(verdict)
    if not verdict.startswith("⏳"):
        note(lambda progress: progress.with_check(name, verdict.startswith("✓")))


def run_check(name: str, function: Callable[..., Any]) -> str:
    """The text that `check` prints for any function: a line that starts with ✓, ✗ or ⏳.

    When the function raised, its traceback follows, from the function's own line on.
    """
    task, attempt = find_exercise(name), Attempt(function)
    try:
        problem = task.diagnose(attempt) or attempt.kind_diagnosis(task.reference)
    except Exception as error:  # the learner's code may raise anything, and its result may break the check
        if error is not attempt.raised:
            problem = attempt.form_diagnosis(task.reference, error)
        elif _unwritten(error):
            return tr(
                f"⏳ {name}: not written yet. Replace the line `raise NotImplementedError`, then run it again.",
                __file__,
            )
        else:
            problem = attempt.error_text(error)
    if problem is None:
        return tr(f"✓ {name}: correct. {task.said(task.praise)}", __file__)
    return tr(f"✗ {name}: {task.said(problem)}", __file__)


class Folded:
    """Text behind a triangle: a reader opens it when wanted. Without HTML it shows only its title."""

    def __init__(self, title: str, body: str, *, code: bool = False) -> None:
        self.title, self.body, self.code = title, body, code

    def _repr_html_(self) -> str:
        body = html.escape(self.body)
        inside = f"<pre>{body}</pre>" if self.code else f"<p>{body}</p>"
        return f"<details><summary>{html.escape(self.title)}</summary>{inside}</details>"

    def __repr__(self) -> str:
        return f"▸ {self.title}"


def hint(name: str, number: int = 1) -> Folded:
    """Hint `number` (from 1) of an exercise, folded."""
    task = find_exercise(name)
    hints = task.hints
    if not 1 <= number <= len(hints):
        raise InputError("hint", found=number, expected=f"1 to {len(hints)}", fix="Ask for one of these.")
    return Folded(tr(f"Hint {number} of {len(hints)} for {name}", __file__), task.said(hints[number - 1]))


def solution(name: str) -> Folded:
    """The reference of an exercise as source code, folded."""
    source = textwrap.dedent(inspect.getsource(find_exercise(name).reference))
    return Folded(tr(f"Solution of {name}", __file__), source, code=True)


def _unwritten(error: Exception) -> bool:
    """A bare `raise NotImplementedError`. torch raises this error too, with a text, for what it cannot compute."""
    return isinstance(error, NotImplementedError) and not error.args


def _solutions() -> bool:
    return switched_on("MOTIONLAB_SOLUTIONS")
