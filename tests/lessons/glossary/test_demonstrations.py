"""Every term has a demonstration that runs, says something, and says the same every time."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch

from lessons.glossary import registry
from motionlab.errors import InputError
from motionlab.teaching.glossary import TOPICS, all_terms

TERMS = [term.english for term in all_terms()]
LONGEST = 140  # letters of a result: it stands on a line of its own
MOST_LINES = 18  # of a demonstration


def replaced(text: str) -> str:
    """A result without its marked numbers, as the comparison of the lesson sees it."""
    (pattern,) = re.findall(r"^regex: (≈.*)$", SANITIZE.read_text(encoding="utf-8"), re.MULTILINE)
    return re.sub(pattern, "≈NUM", text)


SANITIZE = Path(__file__).resolve().parents[3] / "notebooks" / "sanitize.cfg"


def test_every_term_has_one() -> None:
    assert sorted(registry._demos) == sorted(term.lower() for term in TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_it_runs_and_says_the_same_again(term: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        first = registry.run(term)
    assert 5 < len(first) <= LONGEST and "\n" not in first
    torch.rand(7)  # somebody else draws in between
    assert replaced(registry.run(term)) == replaced(first)
    assert not re.search(r"\d\.\d{6,}", re.sub(r"≈\S+", "", first)), "so many digits differ on another machine"


@pytest.mark.parametrize("term", TERMS)
def test_its_code_is_short_and_ends_in_the_result(term: str) -> None:
    lines = registry.code(term).splitlines()
    assert 1 <= len(lines) <= MOST_LINES and lines[0] == lines[0].lstrip()
    assert any(line.startswith("return ") for line in lines)


def test_it_draws_from_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    registry.run("dropout")
    assert torch.equal(torch.rand(2), expected)


def test_show_prints_name_code_and_result(capsys: pytest.CaptureFixture[str]) -> None:
    registry.show("norm")
    printed = capsys.readouterr().out
    assert printed.startswith("norm (范数)\n    return f") and "\n=> of (3, 4): 5" in printed


def test_a_topic_shows_each_of_its_terms_once(capsys: pytest.CaptureFixture[str]) -> None:
    registry.show_topic("precision")
    printed = capsys.readouterr().out
    for term in all_terms():
        assert printed.count(f"{term.english} ({term.chinese})") == int(term.topic == "precision")
    assert "bf16 (脑浮点16位), fp16 (半精度浮点): bf16 up to" in printed
    with pytest.raises(InputError):
        registry.show_topic("precisions")
    assert set(TOPICS) == {term.topic for term in all_terms()}


def test_terms_that_do_not_exist_or_are_shown_twice() -> None:
    with pytest.raises(InputError, match="tokken"):
        registry.show("tokken")
    with pytest.raises(ValueError, match="two demonstrations of 'token'"):
        registry.shows("token")(lambda: "again")
    with pytest.raises(InputError, match="tokken"):
        registry.shows("tokken")
