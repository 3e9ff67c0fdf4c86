"""The texts of every exercise with MOTIONLAB_LANG=zh. `conftest.py` translates the verdicts on all typical mistakes."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from motionlab.language import catalogue
from motionlab.teaching.exercise import Exercise, all_exercises, hint, run_check, solution
from tests.chinese import HAN, faults, pairs, shape, texts

# Texts in the code of checks that no learner reads: keys, words of errors that are looked for, answers of riddles.
NOT_SHOWN = {
    *("zero inside", "mean of means", "no divisor", "step inside", "_scale is None"),
    *("modified by an inplace operation", "the loop asked 50 times: it does not stop"),
    *("teacher forcing", "dead code", "weight decay", "foot skating", "gradient underflow"),
    "asked 50 times for a motion of at most 20 tokens",
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "notebooks" / "lessons").glob("*/zh.yaml"))


def exercises_of(folder: Path) -> list[Exercise]:
    return [each for each in all_exercises() if Path(inspect.getfile(each.reference)).parent == folder]


def without_registration(tree: ast.AST) -> ast.AST:
    """The code without the exercises themselves: praise and hints are looked up from these."""

    class Remove(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            if isinstance(node.func, ast.Name) and node.func.id == "Exercise":
                return ast.Constant(None)
            return self.generic_visit(node)

    return Remove().visit(tree)


def said_by_checks(folder: Path) -> Iterator[str]:
    """Every sentence in the files with the references and checks of a lesson."""
    for file in {inspect.getfile(each.reference) for each in exercises_of(folder)}:
        for text in texts(without_registration(ast.parse(Path(file).read_text(encoding="utf-8")))):
            if " " in text and re.search("[a-z]{2}", text):
                yield text


def said_around_checks(folder: Path) -> set[str]:
    return {text for each in exercises_of(folder) for text in (each.praise, *each.hints)}


def test_every_lesson_with_exercises_has_a_catalogue() -> None:
    lessons = {Path(inspect.getfile(each.reference)).parent for each in all_exercises()}
    assert sorted(lessons) == FOLDERS and len(FOLDERS) == 20


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_sentence_has_one_pair(folder: Path) -> None:
    known = {shape(english) for english, _ in pairs(folder / "zh.yaml")}
    assert faults(folder / "zh.yaml") == []
    assert sorted({*said_by_checks(folder), *said_around_checks(folder)} - known - NOT_SHOWN) == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_pair_is_stale(folder: Path) -> None:
    written = said_around_checks(folder) | {"{}: {}"}  # the label of a fault in the museum
    for file in folder.rglob("*.py"):
        written |= {part for text in texts(ast.parse(file.read_text("utf-8"))) for part in text.split(" | ")}
    written |= {text.removesuffix("{}") + "{}" for text in written if text.endswith(": ")}
    shared = {"as written"}  # of `lessons.shared`
    stale = {english for english, _ in pairs(folder / "zh.yaml")} - shared
    assert [english for english in sorted(stale) if shape(english) not in written] == []


def test_praise_and_hints_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    english = []
    for each in all_exercises():
        shown = [each.said(each.praise), *(hint(each.name, n + 1).body for n in range(len(each.hints)))]
        english += [f"{each.name}: {text}" for text in shown if not HAN.search(text)]
        assert solution(each.name).title == f"{each.name} 的参考答案"
        assert HAN.search(solution(each.name).body) is None  # code
    assert english == []


def test_a_right_and_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, tuple[str, Callable[..., Any], str]] = {
        "rope.longer_base": ("它等同于软件包中的 ntk 缩放。", lambda *_: 40_000.0, "只会慢到原来的 3.830 分之一。"),
        "start.token_count": (
            "每个练习都是这样回答的。",
            lambda frames, r: frames // r,
            "61 帧需要 16 个词元，不是 15 个",
        ),
        "pitfalls.sees_both": ("四行代码", lambda policy: True, "这个测试什么都放过，包括什么都不看的策略。"),
    }
    for name, (praise, wrong, words) in answers.items():
        reference = next(each.reference for each in all_exercises() if each.name == name)
        english = run_check(name, reference), run_check(name, wrong)
        monkeypatch.setenv("MOTIONLAB_LANG", "zh")
        right, mistake = run_check(name, reference), run_check(name, wrong)
        assert right.startswith(f"✓ {name}：正确。{praise}") and mistake.startswith(f"✗ {name}：") and words in mistake
        monkeypatch.setenv("MOTIONLAB_LANG", "en")
        assert (run_check(name, reference), run_check(name, wrong)) == english and not HAN.search("".join(english))


def test_the_most_exact_pair_of_two_that_fit() -> None:
    """`expected {right}, got {result}.` fits more than it should; a longer sentence that fits wins."""
    known = catalogue(ROOT / "notebooks" / "lessons" / "vla" / "zh.yaml")
    assert known.find("the cross-entropy is 0.5, got 0.7.") == (
        "交叉熵是 {right}，实际为 {loss}。",
        {"right": "0.5", "loss": "0.7"},
    )
