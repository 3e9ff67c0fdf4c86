"""The table of `motionlab progress`: a line per lesson, and which lesson is next."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.teaching.exercise import all_exercises
from motionlab.teaching.learning_path import Lesson, lesson_title, progress_table, read_lessons
from motionlab.teaching.progress import EMPTY, Progress

LESSONS = [
    Lesson("00", "start_here", ("start.first",)),
    Lesson("01", "reading", ()),
    Lesson("02", "rope", ("rope.a", "rope.b")),
]


def test_the_table_and_what_is_next() -> None:
    done = Progress(format=1, opened={"00": date(2026, 3, 1), "02": date(2026, 3, 2)})
    done = done.with_check("start.first", True).with_check("rope.a", False).with_check("rope.b", True)
    done = done.with_check("somebody.else", True).with_answer("00", "before", 2).with_answer("00", "after", 4)
    done = done.with_answer("02", "after", 1)
    assert progress_table(LESSONS, done).splitlines() == [
        "lesson         opened      exercises  confidence",
        "00 start_here  2026-03-01  1 of 1     2 -> 4",
        "01 reading     -           -          -",
        "02 rope        2026-03-02  1 of 2     - -> 1",
        "next: lesson 01",
    ]


def test_a_lesson_is_finished_when_its_exercises_are_solved() -> None:
    assert progress_table(LESSONS, EMPTY).endswith("\nnext: lesson 00")
    done = EMPTY.with_check("start.first", True).with_opened("01").with_opened("02").with_check("rope.a", True)
    assert progress_table(LESSONS, done).endswith("\nnext: lesson 02")
    done = done.with_check("rope.b", True)
    assert progress_table(LESSONS, done).endswith("\nnext: nothing; all 3 lessons are finished")


def test_every_exercise_belongs_to_a_lesson(root: Path) -> None:
    lessons = read_lessons(root / "notebooks")
    assert [lesson.number for lesson in lessons] == [path.name[:2] for path in sorted(root.glob("notebooks/*.ipynb"))]
    names = [name for lesson in lessons for name in lesson.exercises]
    # The tests of exercises register one of their own.
    there = {task.name for task in all_exercises() if task.reference.__module__.startswith("lessons.")}
    assert sorted(names) == sorted(there) and len(names) > 50
    (rope,) = (lesson for lesson in lessons if lesson.topic == "rope")
    assert rope.number == "05" and len(rope.exercises) >= 3


def test_every_lesson_has_a_question(root: Path) -> None:
    titles = {path.name: lesson_title(path.name[:2]) for path in root.glob("notebooks/*.ipynb")}
    assert titles["05_rope.ipynb"] == "How does RoPE encode position, and what happens to vector norms?"
    assert [name for name, title in titles.items() if not title or not title.endswith("?")] == []


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('{"cells": [{"source": ["# 05 · 问题 \\n", "\\n", "more"]}]}', "问题"),
        ('{"cells": [{"source": "no heading"}]}', None),
        ('{"cells": []}', None),
        ("{", None),
    ],
)
def test_a_title_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, title: str | None
) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", lambda: [tmp_path / "lessons"])
    (tmp_path / "05_topic.ipynb").write_text(text, encoding="utf-8")
    assert lesson_title("05") == title and lesson_title("06") is None


def test_a_folder_without_lessons_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", list)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(InputError, match="found no lessons"):
        read_lessons(tmp_path)
