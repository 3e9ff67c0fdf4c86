"""The lessons in their order, and how far a learner is on the way through them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from motionlab.environment import language
from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.language import tr
from motionlab.teaching.exercise import all_exercises, lesson_paths
from motionlab.teaching.progress import MOMENTS, Progress
from motionlab.training.reporting.text_table import columns

_TITLE = re.compile(r"^#\s+\d\d\s+·\s+(.+?)\s*$", re.MULTILINE)  # "# 05 · How does RoPE encode position?"


@dataclass(frozen=True)
class Lesson:
    """One lesson: its number ("05"), its topic ("rope"), and the names of its exercises."""

    number: str
    topic: str
    exercises: tuple[str, ...]

    def solved(self, progress: Progress) -> int:
        """How many of its exercises were solved."""
        tried = [progress.exercises[name] for name in self.exercises if name in progress.exercises]
        return sum(each.solved is not None for each in tried)

    def finished(self, progress: Progress) -> bool:
        """Whether all of its exercises were solved; a lesson without any is finished when it was opened."""
        return self.solved(progress) == len(self.exercises) if self.exercises else self.number in progress.opened


def lesson_title(lesson: str) -> str | None:
    """The question that a lesson answers, from the first cell of its notebook; None where none can be read.

    With `MOTIONLAB_LANG=zh` the Chinese notebook of the lesson is asked first.

    >>> lesson_title("no lesson has this number") is None
    True
    """
    paths = [path for path in lesson_paths() if path.name.startswith(f"{lesson}_")]
    if language() == "zh":
        paths = [path.parent / "zh" / path.name for path in paths] + paths
    return next((found[1] for path in paths if (found := _TITLE.search(_first_cell(path)))), None)


def read_lessons(notebooks: Path) -> list[Lesson]:
    """All lessons in their order: the numbers of their notebooks. Imports the folder of each, and torch with them.

    Args:
        notebooks: the folder, which is put on Python's path.

    Raises:
        InputError: no lessons there.
    """
    if str(notebooks) not in sys.path:
        sys.path.insert(0, str(notebooks))
    by_topic: dict[str, list[str]] = {}
    for task in all_exercises():
        place, _, rest = task.reference.__module__.partition(".")
        if place == "lessons":  # lessons.rope.exercises
            by_topic.setdefault(rest.split(".")[0], []).append(task.name)
    found = []
    for path in lesson_paths():
        number, _, topic = path.stem.partition("_")
        found.append(Lesson(number, topic, tuple(by_topic.get(topic, ()))))
    if not found:
        raise InputError(notebooks, found="no lessons", expected="notebooks with a number", fix="Clone the repository.")
    return found


def progress_table(lessons: Sequence[Lesson], progress: Progress) -> str:
    """How far a learner is, a line per lesson, and which lesson is next."""
    rows = [tuple(tr(title, __file__) for title in ("lesson", "opened", "exercises", "confidence"))]
    rows += [(f"{lesson.number} {lesson.topic}", *_cells(lesson, progress)) for lesson in lessons]
    return f"{columns(rows)}\n{_next(lessons, progress)}"


def _cells(lesson: Lesson, progress: Progress) -> tuple[str, str, str]:
    opened = progress.opened.get(lesson.number)
    before, after = (progress.sure(lesson.number, moment) for moment in MOMENTS)
    sure = "-" if before is after is None else f"{before or '-'} -> {after or '-'}"
    solved = tr(f"{lesson.solved(progress)} of {len(lesson.exercises)}", __file__) if lesson.exercises else "-"
    return "-" if opened is None else str(opened), solved, sure


def _next(lessons: Sequence[Lesson], progress: Progress) -> str:
    waiting = [lesson for lesson in lessons if not lesson.finished(progress)]
    if not waiting:
        return tr(f"next: nothing; all {len(lessons)} lessons are finished", __file__)
    return tr(f"next: lesson {waiting[0].number}", __file__)


def _first_cell(path: Path) -> str:
    try:
        with refusing(path, expected="a notebook", fix="Get it from the repository again."):
            return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    except InputError:
        return ""  # a title is not worth an error
