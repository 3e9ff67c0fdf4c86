"""The confidence question without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

import motionlab as ml
from motionlab.errors import InputError
from motionlab.teaching.exercise import lesson_paths
from motionlab.teaching.progress import keep, load
from motionlab.widgets.confidence import CHINESE, ENGLISH, Confidence
from motionlab.widgets.fitting import OUTER
from tests.chinese import HAN

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("MOTIONLAB_PROGRESS", str(path))
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    monkeypatch.delenv("MOTIONLAB_SOLUTIONS", raising=False)
    return path


def line(widget: Confidence) -> str:
    text: str = widget._line.value
    return text.partition(">")[2].removesuffix("</p>")


def test_it_asks_the_question_of_the_lesson(file: Path) -> None:
    widget = ml.confidence("05", "before")
    assert repr(widget) == "<confidence: lesson 05, before>"
    assert "to a colleague: How does RoPE encode position, and what happens to vector norms?" in widget._question
    assert [label for label, _ in widget._buttons.options] == ["1 not at all", "2", "3", "4", "5 completely"]
    assert widget._buttons.value is None and line(widget) == "" and not file.exists()
    assert widget.layout.max_width == f"{OUTER}px"


def test_a_click_is_kept_and_shown_again(file: Path) -> None:
    widget = ml.confidence("05", "before")
    widget._buttons.value = 2  # what the browser sends for a click
    assert load(file).sure("05", "before") == 2 and line(widget) == "before 2"
    again = ml.confidence("05", "before")
    assert again._buttons.value == 2 and line(again) == "before 2"
    again.answer(3)
    assert load(file).sure("05", "before") == 3


def test_after_the_second_answer_both_are_shown(file: Path) -> None:
    before, after = ml.confidence("05", "before"), ml.confidence("05", "after")  # Run All makes both at once
    before.answer(2)
    assert after._buttons.value is None
    after.answer(4)
    assert after.summary() == "before 2, now 4" == line(after)
    assert ml.confidence("06", "after").summary() == ""


def test_where_nothing_is_kept_it_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(lambda progress: progress.with_answer("05", "before", 2))
    monkeypatch.setenv("MOTIONLAB_PROFILE", "ci")
    widget = ml.confidence("05", "after")
    assert widget.summary() == ""
    widget.answer(4)
    assert line(widget) == "now 4 (shown only: nothing is kept here)" and load(file).sure("05", "after") is None


def test_a_damaged_file_is_named_in_the_widget_and_prints_nothing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("<my notes>", encoding="utf-8")
    widget = ml.confidence("05", "after")
    widget.answer(4)
    assert line(widget).startswith("now 4 (not kept: ") and "progress.json: found" in line(widget)
    assert file.read_text(encoding="utf-8") == "<my notes>" and capsys.readouterr().out == ""


@pytest.mark.parametrize("sure", [0, 6, True, "3", None, 2.5])
def test_an_answer_that_is_none_is_one_error(file: Path, sure: object) -> None:
    widget = ml.confidence("05", "after")
    with pytest.raises(InputError, match="confidence: found .*, expected 1 to 5"):
        widget.answer(sure)
    assert not file.exists()


def test_another_moment_is_one_error() -> None:
    with pytest.raises(InputError, match="confidence: found 'later', expected before or after"):
        ml.confidence("05", "later")


def test_a_saved_notebook_holds_the_question_and_no_answer(file: Path) -> None:
    fresh = ml.confidence("05", "before").still()
    widget = ml.confidence("05", "before")
    widget.answer(2)
    bundle = ml.confidence("05", "before")._repr_mimebundle_()
    assert VIEW in bundle and bundle["text/plain"] == "<confidence: lesson 05, before>"
    assert bundle["text/html"] == fresh["text/html"] == widget.still()["text/html"]
    assert "1 not at all · 2 · 3 · 4 · 5 completely" in bundle["text/html"]


def test_without_a_checkout_the_question_is_a_general_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", list)
    assert ml.confidence("05", "after")._question.endswith("to a colleague: what is this lesson about?")


def test_it_speaks_the_language_of_the_lesson(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", lambda: [tmp_path / "lessons"])
    title = '{"cells": [{"source": "# 05 · RoPE <b>如何</b>编码位置？"}]}'  # noqa: RUF001
    (tmp_path / "05_rope.ipynb").write_text(title, encoding="utf-8")
    widget = ml.confidence("05", "after")
    assert "RoPE &lt;b&gt;如何" in widget.still()["text/html"] and "1 完全没有" in widget.still()["text/html"]
    assert "RoPE &lt;b&gt;如何" in widget.children[0].value
    keep(lambda progress: progress.with_answer("05", "before", 2))
    widget.answer(4)
    assert widget.summary() == "之前 2，现在 4"  # noqa: RUF001


def test_every_lesson_is_asked_about_in_chinese(file: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    english = {path.name[:2]: ml.confidence(path.name[:2], "before")._question for path in lesson_paths()}
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    assert len(english) == len(list(root.glob("notebooks/[0-9][0-9]_*.ipynb"))) >= 20
    for lesson, question in english.items():
        title = question.removeprefix(ENGLISH.question.format(title=""))
        widget = ml.confidence(lesson, "before")
        asked = widget._question.removeprefix(CHINESE.question.format(title=""))
        assert HAN.search(asked) and title not in widget._question and asked != CHINESE.this, lesson
        assert f"# {lesson} · {asked}" in next(root.glob(f"notebooks/zh/text/{lesson}_*.md")).read_text("utf-8")


def test_a_lesson_without_a_chinese_notebook_keeps_its_title(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motionlab.teaching.exercise._classroom", lambda: [tmp_path / "lessons"])
    (tmp_path / "05_rope.ipynb").write_text('{"cells": [{"source": "# 05 · Why?"}]}', encoding="utf-8")
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    assert ml.confidence("05", "after")._question == CHINESE.question.format(title="Why?")
