"""The glossary is consistent and prints the same everywhere."""

from __future__ import annotations

import re

import pytest

from motionlab.errors import InputError
from motionlab.teaching.glossary import TERMS, glossary


def test_terms_are_unique_sorted_and_bilingual() -> None:
    names = [term.english.lower() for term in TERMS]
    assert len(set(names)) == len(names) and names == sorted(names)
    assert len({term.chinese for term in TERMS}) == len(TERMS)
    for term in TERMS:
        assert re.search(r"[\u4e00-\u9fff]", term.chinese) and not re.search(r"[\u4e00-\u9fff]", term.english)
        assert term.meaning.endswith(".")


def test_chosen_terms_keep_their_order() -> None:
    assert [term.english for term in glossary("token", "FSQ").terms] == ["token", "FSQ"]
    assert len(glossary().terms) == len(TERMS)
    assert "<td>词元</td>" in glossary("Token")._repr_html_()


def test_unknown_term() -> None:
    with pytest.raises(InputError, match="tokken"):
        glossary("tokken")
