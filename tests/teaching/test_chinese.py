"""The tools of every lesson with MOTIONLAB_LANG=zh."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import motionlab as ml
from motionlab.language import tr, width_of
from motionlab.runtime import progress_file
from motionlab.teaching import attempt as attempt_module
from motionlab.teaching.attempt import Attempt, form_of
from motionlab.teaching.exercise import exercise, run_check
from motionlab.teaching.learning_path import Lesson, progress_table
from motionlab.teaching.progress import EMPTY, keep
from tests.chinese import HAN, faults, pairs, shape, texts

ROOT = Path(__file__).resolve().parents[2]
TEACHING = ROOT / "motionlab" / "teaching"
# Made of two or three parts: `test_forms_of_results` has their pairs.
FORMS = ("a {} {}, {}{}", "a {} of {}{}", "a {}", "an {}", ": {}", ": ", "your function raised {}: {}")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")


def looked_up() -> Iterator[str]:
    """The texts that the code gives to `tr`, as written there."""
    for file in TEACHING.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                yield from texts(node.args[0])


def test_every_text_has_one_pair() -> None:
    known = {shape(english) for english, _ in pairs(TEACHING / "zh.yaml")}
    assert faults(TEACHING / "zh.yaml") == []
    assert {text for text in looked_up() if " " in text} - known - set(FORMS) == set()


def test_no_pair_is_stale() -> None:
    written = {text for file in TEACHING.glob("*.py") for text in texts(ast.parse(file.read_text(encoding="utf-8")))}
    rest = {english for english, _ in pairs(TEACHING / "zh.yaml") if shape(english) not in written}
    forms = {text for text in rest if text.startswith(("a ", "an int"))}
    assert {text for text in rest - forms if not text.startswith("{device} (torch sees ")} == {
        "your function raised {error}"
    }


def test_a_check_says_whose_error_it_was(chinese: None) -> None:
    def unwritten(*_: Any) -> None:
        raise NotImplementedError

    def broken(*_: Any) -> Any:
        return dict[str, int]()["pair"]

    told = run_check("rope.turn", broken).splitlines()
    assert told[0] == "✗ rope.turn：你的函数抛出了 KeyError: 'pair'" and told[1].startswith("Traceback")
    assert "函数没有被执行" in run_check("rope.turn", lambda: None)
    assert run_check("rope.turn", unwritten) == (
        "⏳ rope.turn：还没有写。把 `raise NotImplementedError` 这一行换成你的代码，再运行一次。"
    )


def test_a_stub_says_that_the_reference_answers(chinese: None, capsys: pytest.CaptureFixture[str]) -> None:
    @exercise("rope.half_split_order")
    def half_split_order(head_dim: int) -> Any:
        raise NotImplementedError

    half_split_order(8)
    ml.check(half_split_order)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "⏳ rope.half_split_order 还没有写：先由参考答案代为回答。" and lines[-1].startswith("⏳")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(2, 3), "张量，形状 (2, 3), float32"),
        (torch.tensor(float("nan")), "含 nan 的零维张量，float32"),
        (torch.tensor([float("nan")]), "含 nan 的张量，形状 (1,), float32"),
        (torch.tensor(1), "零维张量，int64"),
        (np.zeros((2, 3)), "numpy 数组，形状 (2, 3), float64"),
        (np.array([np.nan]), "含 nan 的 numpy 数组，形状 (1,), float64"),
        (np.array(1.0), "零维 numpy 数组，float64"),
        (np.array(np.nan), "含 nan 的零维 numpy 数组，float64"),
        ([], "长度为 0 的 list"),
        ([1, "a"], "长度为 2 的 list：1 (int), 'a' (str)"),
        ((), "长度为 0 的 tuple"),
        ((True,), "长度为 1 的 tuple：True (bool)"),
        ({}, "类型为 dict 的对象"),
    ],
    ids=str,
)
def test_forms_of_results(value: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    english = form_of(value)
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    assert form_of(value) == words and not HAN.search(english)


@pytest.mark.parametrize("value", [True, 1, 1.0, 1j, "a", b"a"], ids=repr)
def test_kinds_of_results(value: Any, chinese: None) -> None:
    assert form_of(value, values=False) == f"一个 {type(value).__name__}"


def test_what_the_check_could_not_work_with(chinese: None) -> None:
    attempt = Attempt(lambda x: [x])
    attempt(3)
    told = attempt.form_diagnosis(lambda x: 2.0 * x, TypeError())
    assert told == "结果应为：一个 float；实际为：长度为 1 的 list：3 (int)。"
    assert "类型为 `float` 的值" in attempt.form_diagnosis(_annotated, TypeError())
    same = Attempt(lambda x: x)
    same(torch.ones(1))
    assert "没有梯度传回来" in same.form_diagnosis(lambda x: x, RuntimeError("no grad"))
    assert "无法处理这个结果" in same.form_diagnosis(lambda x: x, RuntimeError("other"))
    holes = Attempt(lambda: torch.tensor([float("nan")]))
    holes()
    assert (holes.kind_diagnosis(lambda: torch.ones(1)) or "").startswith(
        "结果应为：张量，形状 (1,), float32；实际为：含 nan"
    )


def _annotated(x: int) -> float:
    raise ValueError


def test_the_first_cell(chinese: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for level, words in (("quick", "数秒"), ("cpu", "数分钟"), ("gpu", "有益的最大规模")):
        monkeypatch.setenv("MOTIONLAB_PROFILE", level)
        monkeypatch.setenv("MOTIONLAB_PROGRESS", "off")
        ml.setup("05")
        first, second = capsys.readouterr().out.splitlines()
        assert first == f"第 05 课 · 随机种子 0 · 计算量 {level}（{words}）"
        assert second.startswith("设备：cpu（torch 没有找到 GPU） · 线程数：") or torch.cuda.is_available()


def test_the_table_of_progress_is_aligned(chinese: None) -> None:
    lessons = [Lesson("00", "start_here", ("a.b",)), Lesson("05", "rope", ("a.c", "a.d"))]
    done = EMPTY.with_check("a.b", True).with_answer("05", "before", 2)
    titles, first, second, following = progress_table(lessons, done).splitlines()
    assert titles.split() == ["课程", "首次打开", "练习", "把握"] and following == "下一课：第 05 课"
    assert "1 / 1 个" in first and "0 / 2 个  2 -> -" in second
    column = [width_of(line[: line.index(word)]) for line, word in ((titles, "练习"), (first, "1 /"), (second, "0 /"))]
    assert len(set(column)) == 1
    assert progress_table(lessons[:1], done).splitlines()[-1] == "下一课：没有了，1 课全部完成"


def test_the_record_itself_is_the_same(chinese: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("MOTIONLAB_PROFILE", "cpu")
    assert keep(lambda progress: progress.with_check("a.b", True)) == ""
    path = progress_file()
    assert path is not None and not HAN.search(path.read_text(encoding="utf-8"))


def test_the_glossary_prefers_chinese_meanings(chinese: None) -> None:
    assert str(ml.glossary("causal mask")) == "因果掩码 (causal mask): 每个词元只能看到自己和之前的词元，看不到后面的。"
    assert re.findall(r"<th\b[^>]*>(.*?)</th>", ml.glossary("causal mask")._repr_html_()) == ["术语", "中文", "释义"]
    assert ml.find_terms("causal").language == "zh"
    assert str(ml.glossary("token", language="en")).startswith("token (词元): A whole number")


def test_a_wrong_answer_is_told_in_the_words_of_its_lesson(chinese: None) -> None:
    """A sentence of the lesson comes before one of the tools, and neither changes names or numbers."""
    assert tr("the result should be 3, got 4.", attempt_module.__file__) == "结果应为：3；实际为：4。"
    told = run_check("vla.wilson", lambda right, n: (1.0, 0.0))
    assert told.startswith("✗ vla.wilson：") and HAN.search(told.partition("：")[2])
