"""The record of a learner, kept on this machine only: one small JSON file that anybody can read.

    {"format": 1,
     "opened": {"05": "2026-03-01"},
     "exercises": {"rope.turn": {"attempts": 2, "solved": "2026-03-02"}},
     "confidence": {"05": {"before": {"sure": 2, "day": "2026-03-01"}}}}

`runtime.progress_file()` says where it is. Nothing is kept with `MOTIONLAB_PROFILE=ci` or `MOTIONLAB_SOLUTIONS=1`,
because nobody learns there; a learner in a hurry sets the profile `quick`. A lesson continues whatever is wrong with
the file: `keep` and `note` never raise for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from motionlab.environment import switched_on
from motionlab.errors import InputError
from motionlab.files import atomic_path, write_text
from motionlab.files.lock import locked
from motionlab.files.reading import read_bytes, read_text
from motionlab.files.records import parse_json, typed
from motionlab.language import tr
from motionlab.runtime import lessons_are_checked, progress_file

Moment = Literal["before", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "after")
SUREST = 5  # of the answers, which begin at 1

_LARGEST = 1 << 20  # bytes; a record of all lessons has a few thousand
_WAIT = 2.0  # seconds for another lesson that writes at this moment
_EXPECTED = "a record of progress that motionlab wrote"
_FIX = "Correct it, or run motionlab progress --reset, which keeps a copy of it."
_warned: set[str] = set()  # what `note` told in this process: one line, however many cells follow


@dataclass(frozen=True)
class Tried:
    """How far one exercise is.

    Args:
        attempts: wrong answers (✗) before the first right one.
        solved: day of the first right one (✓).
    """

    attempts: Annotated[int, msgspec.Meta(ge=0)] = 0
    solved: date | None = None


@dataclass(frozen=True)
class Answer:
    """How sure a learner was, 1 to 5, and on which day."""

    sure: Annotated[int, msgspec.Meta(ge=1, le=SUREST)]
    day: date


@dataclass(frozen=True)
class Progress:
    """The record. It does not change; each method gives the next one.

    Args:
        format: of the file; a later version of motionlab may write another one.
        opened: number of a lesson ("05") -> day on which it was first opened.
        exercises: name ("rope.turn") -> how far it is.
        confidence: number of a lesson -> the answer before and the one after it.
    """

    format: Literal[1]
    opened: dict[str, date] = field(default_factory=dict)
    exercises: dict[str, Tried] = field(default_factory=dict)
    confidence: dict[str, dict[Moment, Answer]] = field(default_factory=dict)

    def with_opened(self, lesson: str) -> Progress:
        """The same, after a lesson was opened; its first day stays."""
        return self if lesson in self.opened else replace(self, opened={**self.opened, lesson: date.today()})

    def with_check(self, name: str, right: bool) -> Progress:
        """The same, after the check of an exercise. After the first right answer nothing is counted any more."""
        before = self.exercises.get(name, Tried())
        if before.solved is not None:
            return self
        after = replace(before, solved=date.today()) if right else replace(before, attempts=before.attempts + 1)
        return replace(self, exercises={**self.exercises, name: after})

    def with_answer(self, lesson: str, moment: Moment, sure: int) -> Progress:
        """The same, after an answer about confidence, which takes the place of an earlier one."""
        answers = {**self.confidence.get(lesson, {}), moment: Answer(sure, date.today())}
        return replace(self, confidence={**self.confidence, lesson: answers})

    def sure(self, lesson: str, moment: Moment) -> int | None:
        """The answer about a lesson; None when there is none."""
        answer = self.confidence.get(lesson, {}).get(moment)
        return None if answer is None else answer.sure

    def text(self) -> str:
        """The record as the file holds it."""
        return json.dumps(msgspec.to_builtins(self), indent=1, ensure_ascii=False) + "\n"


EMPTY = Progress(format=1)


def load(path: Path) -> Progress:
    """The record in a file; an empty one when there is no file.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    if not path.exists():
        return EMPTY
    text = read_text(path, expected=_EXPECTED, fix=_FIX, most=_LARGEST)
    return typed(parse_json(text, path, expected=_EXPECTED, fix=_FIX), Progress, path, expected=_EXPECTED, fix=_FIX)


def recording() -> bool:
    """Whether anything is kept: somebody learns here, and did not switch it off."""
    return not switched_on("MOTIONLAB_SOLUTIONS") and not lessons_are_checked() and progress_file() is not None


def kept() -> Progress:
    """The record as lessons see it: empty where nothing is kept, or where the file cannot be read."""
    try:
        path = progress_file()
        return load(path) if path is not None and recording() else EMPTY
    except (InputError, OSError):
        return EMPTY


def keep(change: Callable[[Progress], Progress]) -> str:
    """Change the record on the disk, where one is kept.

    Returns:
        Why the change was not kept, in one line; empty when it was, or when nothing is kept here on purpose.
    """
    try:
        path = progress_file()
        if path is not None and recording():
            with locked(_lock_of(path), wait=_WAIT):  # two lessons may be open: neither loses what the other writes
                before = load(path)
                after = change(before)
                if after != before:
                    write_text(path, after.text())
    except (InputError, OSError) as error:
        return " ".join(str(error).split())
    return ""


def note(change: Callable[[Progress], Progress]) -> None:
    """The same for a cell of a lesson: the first reason of a process is printed, further ones are not."""
    why = keep(change)
    if why and not _warned:
        _warned.add(why)
        print(tr(f"note: your progress is not kept. {why}", __file__))


def reset(path: Path) -> Path | None:
    """Empty the record after writing a copy next to it, whatever the file holds.

    Returns:
        The copy; None when there was no file.

    Raises:
        InputError: the file cannot be read, or the folder not be written; then nothing changed.
    """
    with locked(_lock_of(path), wait=_WAIT):
        if not path.exists():
            return None
        content = read_bytes(path, expected="a file", fix="Check what is there.")
        names = (f"{path.stem}-{date.today()}{more}{path.suffix}" for more in ("", *(f"-{n}" for n in range(2, 1000))))
        copy = next(place for name in names if not (place := path.with_name(name)).exists())
        with atomic_path(copy) as temporary:
            temporary.write_bytes(content)
        write_text(path, EMPTY.text())
        return copy


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
