"""The language of MOTIONLAB_LANG, and how a text finds its pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.environment import language
from motionlab.errors import InputError
from motionlab.language import Catalogue, Own, tr


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of code with a catalogue next to it, read in Chinese."""
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    pairs = {
        "step": "步",
        "expected {right}, got {found}.": "实际为 {found}，应为 {right}。",
        "expected {right}, got {found}: use the argument.": "应为 {right}，实际为 {found}：请使用参数。",
        "✗ {name}: {problem}": "✗ {name}：{problem}",
        "run {NAME}: {problem}": "运行 {NAME}：{problem}",
    }
    lines = [f'- en: "{english}"\n  zh: "{chinese}"\n' for english, chinese in pairs.items()]
    (tmp_path / "zh.yaml").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "code.py"


def test_unset_and_blank_are_english(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for value in (None, "", " ", "en"):
        monkeypatch.delenv("MOTIONLAB_LANG", raising=False)
        if value is not None:
            monkeypatch.setenv("MOTIONLAB_LANG", value)
        assert language() == "en" and tr("step", place) == "step"


@pytest.mark.parametrize("value", ["fr", "ZH", "zh_CN.UTF-8", "0"])
def test_another_language_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", value)
    with pytest.raises(InputError, match="^MOTIONLAB_LANG: found .*, expected en or zh. Set it to one of these."):
        tr("step")


def test_values_may_stand_elsewhere(place: Path) -> None:
    assert tr("step", place) == "步" and tr("expected 3, got 4.", place) == "实际为 4，应为 3。"


def test_the_most_exact_pair_wins(place: Path) -> None:
    assert tr("expected 3, got 4: use the argument.", place) == "应为 3，实际为 4：请使用参数。"


def test_a_value_may_have_a_pair_of_its_own(place: Path) -> None:
    assert tr("✗ a.b: step", place) == "✗ a.b：步" and tr("✗ a.b: ", place) == "✗ a.b："
    assert tr("✗ a.b: expected 3, got 4.", place) == "✗ a.b：实际为 4，应为 3。"
    assert tr("✗ a.b: two\nlines", place) == "✗ a.b：two\nlines"


def test_a_text_without_a_pair_stays(place: Path) -> None:
    assert tr("steps", place) == "steps" and tr("step", place.parent / "elsewhere" / "code.py") == "steps"[:-1]


def test_the_first_place_is_asked_first(place: Path) -> None:
    other = place.parent / "other"
    other.mkdir()
    (other / "zh.yaml").write_text('- en: "step"\n  zh: "一步"\n', encoding="utf-8")
    assert tr("step", place, other / "code.py") == "步" and tr("step", other / "code.py", place) == "一步"


@pytest.mark.parametrize("text", ["- en: a", "en: a", "a", "- [", "- 3"])
def test_a_damaged_catalogue_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    (tmp_path / "zh.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="zh.yaml: found .*, expected a list of pairs, en and zh. Correct the file."):
        tr("step", tmp_path / "code.py")


def test_a_name_of_one_letter_is_a_number() -> None:
    known = Catalogue({"{n} of {m}": "{m} 中的 {n}"})
    for text in ("3 of 12", "≈-0.5 of 1,000", "nan of 6e-05"):
        found = known.find(text)
        assert found and " of ".join(found[1].values()) == text
    assert known.find("the best of all") is None and known.find("3 of the 12") is None


def test_letters_with_a_meaning_in_expressions_are_letters() -> None:
    known = Catalogue({"a+b (c)? {n}.": "{n}", "{any}": "x"})
    assert known.find("a+b (c)? 3.") == ("{n}", {"n": "3"})
    assert known.find("aab c 3.") == ("x", {"any": "aab c 3."})


def test_words_that_are_not_ours_stay(place: Path) -> None:
    assert tr("run step: step", place) == "运行 step：步"
    assert tr(Own("step"), place) == "step" and tr("step", place) == "步"
    assert tr("run {problem}: step", place) == "运行 {problem}：步"
