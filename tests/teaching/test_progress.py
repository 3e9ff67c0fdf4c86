"""The record of a learner: what goes into it, when, and that it never stops a lesson."""

from __future__ import annotations

import json
import threading
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.teaching import progress as module
from motionlab.teaching.exercise import check, exercise, start_lesson
from motionlab.teaching.progress import EMPTY, Progress, Tried, keep, kept, load, note, recording, reset
from motionlab.teaching.setup import setup

TODAY = date.today()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's file, which is not there yet."""
    path = tmp_path / "home" / "progress.json"
    monkeypatch.setenv("MOTIONLAB_PROGRESS", str(path))
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    monkeypatch.delenv("MOTIONLAB_SOLUTIONS", raising=False)
    monkeypatch.setattr(module, "_warned", set())
    return path


def attempt(body):
    @exercise("fsq.round_ste")
    def round_ste(x):
        return body(x)

    return round_ste


def unwritten(x):
    raise NotImplementedError


def right(x):
    return x + (x.round() - x).detach()


def wrong(x):
    return x.round()


# --- the record, without a disk ---


def test_wrong_answers_count_until_the_first_right_one() -> None:
    done = EMPTY.with_check("a.b", False).with_check("a.b", False)
    assert done.exercises == {"a.b": Tried(2, None)}
    done = done.with_check("a.b", True)
    assert done.exercises == {"a.b": Tried(2, TODAY)}
    assert done.with_check("a.b", False) is done and done.with_check("a.b", True) is done


def test_a_lesson_keeps_its_first_day_and_an_answer_its_last() -> None:
    first = Progress(format=1, opened={"05": date(2020, 1, 2)})
    assert first.with_opened("05") == first
    assert first.with_opened("06").opened == {"05": date(2020, 1, 2), "06": TODAY}
    asked = EMPTY.with_answer("05", "before", 2).with_answer("05", "after", 4).with_answer("05", "after", 5)
    assert [asked.sure("05", moment) for moment in module.MOMENTS] == [2, 5]
    assert asked.sure("06", "before") is None and EMPTY.confidence == {}


def test_the_file_can_be_read_by_anybody_and_comes_back(file: Path) -> None:
    done = EMPTY.with_opened("05").with_check("rope.turn", True).with_answer("05", "before", 2)
    assert keep(lambda _: done) == ""
    assert load(file) == done == kept()
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "format": 1,
        "opened": {"05": str(TODAY)},
        "exercises": {"rope.turn": {"attempts": 0, "solved": str(TODAY)}},
        "confidence": {"05": {"before": {"sure": 2, "day": str(TODAY)}}},
    }
    assert file.read_text(encoding="utf-8").startswith('{\n "format": 1,\n')
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # no lock and no temporary file stays


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"cells": []}',
        '{"format": 2}',
        '{"format": 1, "opened": {"05": "yesterday"}}',
        '{"format": 1, "exercises": {"a.b": {"attempts": -1}}}',
        '{"format": 1, "confidence": {"05": {"before": {"sure": 6, "day": "2026-01-01"}}}}',
        '{"format": 1, "confidence": {"05": {"later": {"sure": 3, "day": "2026-01-01"}}}}',
        '{"format": 1, "opened": {}, "opened": {}}',
    ],
)
def test_a_damaged_or_foreign_file_is_one_error_and_stays_as_it_is(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"progress.json: found .* motionlab progress --reset") as refused:
        load(file)
    assert "\n" not in str(refused.value)
    assert keep(lambda progress: progress.with_opened("05")) == str(refused.value)
    assert kept() == EMPTY and file.read_text(encoding="utf-8") == text


def test_two_lessons_that_write_at_once_lose_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT", 60.0)  # the disk may be busy

    def work(lesson: str) -> None:
        for number in range(8):
            assert keep(partial(Progress.with_check, name=f"{lesson}.{number}", right=True)) == ""

    threads = [threading.Thread(target=work, args=(lesson,)) for lesson in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load(file).exercises) == 16


def test_nothing_new_writes_nothing(file: Path) -> None:
    keep(lambda progress: progress.with_opened("05"))
    before = file.stat()
    keep(lambda progress: progress.with_opened("05"))
    after = file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


# --- what lessons record ---


def test_the_check_records_a_learners_own_answers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start_lesson("03")
    check(attempt(unwritten))
    assert not file.exists()  # ⏳ is no answer
    for body in (wrong, wrong, right, wrong):
        check(attempt(body))
    assert load(file).exercises == {"fsq.round_ste": Tried(2, TODAY)}
    marks = [line[0] for line in capsys.readouterr().out.splitlines()]
    assert marks == ["⏳", "✗", "✗", "✓", "✗"]  # and not a word about the record


def test_the_setup_records_that_a_lesson_was_opened(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup("03")
    setup("03")
    assert load(file).opened == {"03": TODAY} and load(file).exercises == {}
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "value"), [("MOTIONLAB_PROFILE", "ci"), ("MOTIONLAB_SOLUTIONS", "1"), ("MOTIONLAB_PROGRESS", "off")]
)
def test_where_nobody_learns_or_it_is_off_nothing_is_kept_or_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    monkeypatch.setenv(name, value)
    start_lesson("03")
    assert not recording()
    check(attempt(right))
    setup("03")
    assert keep(lambda progress: progress.with_opened("03")) == "" and kept() == EMPTY
    assert not file.parent.exists() and "progress" not in capsys.readouterr().out


def test_a_learner_in_the_quick_profile_is_recorded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lessons do the same work under both names; only one of them means that nobody learns."""
    monkeypatch.setenv("MOTIONLAB_PROFILE", "quick")
    assert recording() and keep(lambda progress: progress.with_opened("03")) == ""
    assert load(file).opened == {"03": TODAY}


def test_a_record_from_before_is_not_read_under_ci(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saved outputs of a lesson hold nobody's answers."""
    keep(lambda progress: progress.with_answer("05", "before", 2))
    assert kept().sure("05", "before") == 2
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    assert kept() == EMPTY


def test_a_lesson_warns_in_one_line_once_and_continues(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text("my own notes", encoding="utf-8")
    start_lesson("03")
    setup("03")
    check(attempt(right))
    note(lambda progress: progress.with_opened("04"))
    lines = capsys.readouterr().out.splitlines()
    warnings = [line for line in lines if line.startswith("note: your progress is not kept. ")]
    assert len(warnings) == 1 and str(file) in warnings[0] and len(lines) == 4
    assert lines[-1].startswith("✓") and file.read_text(encoding="utf-8") == "my own notes"


@pytest.mark.parametrize("named", ["progress.json", "/dev/null/progress.json", "\0"])
def test_a_place_that_cannot_be_used_stops_no_lesson(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    if named == "\0":
        file.mkdir(parents=True)  # a folder has the name of the file
    else:
        monkeypatch.setenv("MOTIONLAB_PROGRESS", named)
    setup("03")
    assert capsys.readouterr().out.splitlines()[2].startswith("note: your progress is not kept. ")
    assert kept() == EMPTY


# --- reset ---


def test_reset_keeps_a_copy_of_whatever_was_there(file: Path) -> None:
    assert reset(file) is None and not file.parent.exists()
    keep(lambda progress: progress.with_opened("05"))
    before = file.read_bytes()
    first = reset(file)
    assert first == file.with_name(f"progress-{TODAY}.json") and first.read_bytes() == before
    assert load(file) == EMPTY
    file.write_bytes(b"\xff damaged")
    second = reset(file)
    assert second == file.with_name(f"progress-{TODAY}-2.json") and second.read_bytes() == b"\xff damaged"
    assert load(file) == EMPTY and first.read_bytes() == before
