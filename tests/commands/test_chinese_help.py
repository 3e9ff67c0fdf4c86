"""`--help` with MOTIONLAB_LANG=zh: all of its words, in lines that fit, and nothing else of a command changes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab import cli
from motionlab.commands import chinese_help
from motionlab.commands.chinese_help import option, translated, wrapped
from motionlab.language import catalogue, width_of
from tests.chinese import ENGLISH, HAN, faults, pairs

CATALOGUE = Path(chinese_help.__file__).with_name("zh.yaml")
OF_TYPER = ("Usage", "Options", "Arguments", "Commands", "Show this message and exit.", "required", "default: 7")


def commands(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""
    command = command or cli._command()
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


def shown() -> set[str]:
    """Every English text of a help page."""
    found = set(OF_TYPER)
    for _, command in commands():
        found |= {" ".join(each.split()) for each in inspect.cleandoc(command.help).split("\n\n")}
        found |= {help for each in command.params if (help := getattr(each, "help", None))}
    return found


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "80")


def page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--help"])
    assert not ended.value.code
    return capsys.readouterr().out


def test_every_text_has_one_pair() -> None:
    known = catalogue(CATALOGUE)
    assert faults(CATALOGUE) == []
    assert [text for text in sorted(shown()) if known.find(text) is None] == []
    used = {found[0] for text in shown() if (found := known.find(text))}
    assert [english for english, chinese in pairs(CATALOGUE) if chinese not in used] == []


def test_every_page_is_chinese(chinese: None, capsys: pytest.CaptureFixture[str]) -> None:
    for words, command in commands():
        text = page(capsys, *words)
        assert text.startswith(f"用法：{' '.join(('motionlab', *words))} ") and "  显示这段帮助并退出。\n" in text
        assert not ENGLISH.search(text.partition("\n")[2]), ENGLISH.search(text)
        assert all(width_of(line) <= 78 for line in text.splitlines())
        names = [name for each in command.params for name in each.opts if name.startswith("-")]
        assert all(f"{name} " in text or f"{name}," in text for name in names), names
        assert all(f"\n  {name} " in text for name in getattr(command, "commands", {}))


def test_an_english_page_has_nothing_chinese(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    for spoken in ("", "en"):
        monkeypatch.setenv("MOTIONLAB_LANG", spoken)
        text = page(capsys, "train")
        assert text.startswith("Usage: motionlab train") and not HAN.search(text)


def test_a_narrow_terminal_cuts_no_command(chinese: None, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # typer shortens the English words to fit
    text = page(capsys)
    assert "..." not in text.partition("命令：")[2]
    for _, command in commands():
        if command.help:
            first = next(iter(translated(command.help)))
            assert command.name not in cli._command().commands or first[:8] in text


def test_remarks_of_typer(chinese: None) -> None:
    assert option("Seed of the draw.  [default: 500; x>=1]") == "抽样的随机种子。  [默认：500；x>=1]"
    assert option("[required]") == "[必需]"
    assert option("No such text [a]") == "No such text [a]"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["config"]])
def test_another_language_is_refused_before_any_work(words: list[str], monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("MOTIONLAB_LANG", "fr")
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    told = capsys.readouterr()
    assert ended.value.code == 2 and told.out == ""
    assert told.err == "motionlab: error: MOTIONLAB_LANG: found 'fr', expected en or zh. Set it to one of these.\n"


def test_doctor_shows_a_wrong_language(monkeypatch: pytest.MonkeyPatch) -> None:
    from motionlab.jobs.doctor import _environment_rows

    monkeypatch.setenv("MOTIONLAB_LANG", "zh_CN")
    assert ["'zh_CN'; en or zh is expected"] == [row.value for row in _environment_rows()]


def test_errors_stay_english(chinese: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["config", "llama.dmi"])
    assert "Did you mean llama.dim?" in capsys.readouterr().err


@given(st.text("ab，。（ [词元"), st.integers(6, 30))
def test_lines_hold_all_letters_and_fit(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(width_of(line) <= width or len(line.split()) == 1 for line in lines)
    if not re.search(r"(?:^|\s)[，。]", text):
        assert not any(line[0] in "，。" for line in lines)
