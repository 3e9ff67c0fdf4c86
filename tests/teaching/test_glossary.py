"""The glossary is consistent, prints the same everywhere, and finds what one looks for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from motionlab.errors import InputError
from motionlab.teaching.glossary import PATH, TOPICS, all_terms, find_terms, glossary, read_terms

CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENTRY = {
    "english": "token", "chinese": "词元", "meaning": "A number.", "meaning_zh": "一个整数。", "lesson": 2,
    "topic": "tokenizer",
}  # fmt: skip


def test_terms_are_unique_sorted_and_bilingual() -> None:
    terms = all_terms()
    names = [term.english.lower() for term in terms]
    assert len(set(names)) == len(names) >= 150 and names == sorted(names)
    assert len({term.chinese for term in terms}) == len(terms)
    for term in terms:
        assert CHINESE.search(term.chinese) and not CHINESE.search(term.english)
        assert term.meaning.endswith(".")


def test_a_chinese_meaning_is_a_chinese_sentence_of_its_own() -> None:
    meanings = [term.meaning_zh for term in all_terms()]
    assert len(set(meanings)) == len(meanings)
    for term in all_terms():
        assert term.meaning_zh.endswith("。") and len(CHINESE.findall(term.meaning_zh)) >= 8, term.english
        assert not re.search(r"[，。；：（）]", term.meaning), f"{term.english}: a Chinese mark in English"
        assert not re.search(r"[\u4e00-\u9fff][,;:]", term.meaning_zh), f"{term.english}: an English mark in Chinese"


def test_every_topic_and_every_lesson_has_terms(root: Path) -> None:
    assert {term.topic for term in all_terms()} == set(TOPICS)
    lessons = {int(path.name[:2]) for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert {term.lesson for term in all_terms()} <= lessons


def test_chosen_terms_keep_their_order() -> None:
    assert [term.english for term in glossary("token", "FSQ").terms] == ["token", "FSQ"]
    assert len(glossary()) == len(all_terms())
    assert ">词元</td>" in glossary("Token")._repr_html_()


def test_meanings_in_chinese() -> None:
    shown = glossary("frozen model", language="zh")
    assert repr(shown).startswith("冻结模型 (frozen model): 训练时只做 forward")
    assert ">训练时只做 forward" in shown._repr_html_()
    with pytest.raises(InputError, match='"en" or "zh"'):
        glossary("token", language="de")  # type: ignore[arg-type]


def test_a_list_in_a_notebook_leads_to_the_lesson_with_every_term(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("notebooks", "notebooks/appendix", "notebooks/zh", "notebooks/zh/appendix"):
        monkeypatch.chdir(root / folder)
        (found,) = re.findall('href="([^"]*)"', glossary("token")._repr_html_())
        assert Path(found).resolve() == root / folder.removesuffix("/appendix") / "17_glossary.ipynb"
    monkeypatch.chdir(tmp_path)
    assert "href" not in glossary("token")._repr_html_()


def test_unknown_term() -> None:
    with pytest.raises(InputError, match="tokken"):
        glossary("tokken")


# ---- the search ------------------------------------------------------------------------------------------------------
def names(found: Any) -> list[str]:
    return [term.english for term in found]


def test_the_best_match_is_first() -> None:
    assert names(find_terms("token"))[0] == "token"  # the term itself
    found = names(find_terms("mask"))
    assert found[0] == "masked modelling"  # begins with it
    assert found.index("attention mask") < found.index("att_masks")  # a word begins with it, then it is inside
    assert found.index("att_masks") < found.index("iterative decoding")  # only its meaning speaks of masks


def test_both_languages_are_searched_in_any_case() -> None:
    assert names(find_terms("掩码"))[0] == "masked modelling"
    assert names(find_terms("  FROZEN   model "))[0] == "frozen model"
    assert "key-value cache" in names(find_terms("KV cache"))  # is in the Chinese meaning
    assert names(find_terms("no such word")) == []
    assert len(find_terms("")) == len(all_terms())


def test_a_topic_narrows_it() -> None:
    found = find_terms("mask", topic="text", language="zh")
    assert found and {term.topic for term in found} == {"text"} and found.language == "zh"
    with pytest.raises(InputError, match="one of these"):
        find_terms("mask", topic="masks")


# ---- the file --------------------------------------------------------------------------------------------------------
def written(folder: Path, *entries: object) -> Path:
    path = folder / "terms.yaml"
    path.write_text(yaml.safe_dump(list(entries), allow_unicode=True), encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    (term,) = read_terms(written(tmp_path, ENTRY))
    assert (term.english, term.lesson) == ("token", 2)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([ENTRY, ENTRY | {"english": "Token", "chinese": "别的"}], "'token' twice"),
        ([ENTRY, ENTRY | {"english": "tokens"}], "'词元' twice"),
        ([ENTRY, ENTRY | {"english": "mask", "chinese": "掩码"}], "'mask' after 'token'"),
        ([ENTRY | {"meaning_zh": "  "}], "term 1, meaning_zh"),
        ([ENTRY | {"chinese": None}], "term 1, chinese"),
        ([ENTRY | {"lesson": "2"}], "the number of a lesson"),
        ([ENTRY | {"lesson": True}], "the number of a lesson"),
        ([ENTRY | {"lesson": -1}], "0 to 99"),
        ([ENTRY | {"topic": "tokens"}], "term 1, topic"),
        ([{key: value for key, value in ENTRY.items() if key != "meaning"}], "no field 'meaning'"),
        ([ENTRY | {"zh": "x"}], "an unknown field 'zh'"),
        (["token"], "term 1: found str"),
        ([], "a list of terms"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, entries: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_terms(written(tmp_path, *entries))


@pytest.mark.parametrize("text", ["token: 1", "- [", "!!python/object/apply:os.getcwd []", ""])
def test_what_is_no_list_of_terms_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "terms.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_terms(path)
    with pytest.raises(InputError):
        read_terms(tmp_path / "none.yaml")


def test_the_file_is_read_when_a_term_is_asked_for() -> None:
    code = (
        "import motionlab.teaching.glossary as g; before = g.all_terms.cache_info().currsize; "
        "g.glossary('token'); print(before, g.all_terms.cache_info().currsize)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0 1\n"


def test_the_file_lies_in_the_package(root: Path) -> None:
    """The wheel takes everything in the folder motionlab."""
    assert PATH == root / "motionlab" / "teaching" / "terms.yaml" and PATH.is_file()
