"""The words of the lessons, in English and Chinese, and a search over both.

`terms.yaml` is the only place where a term is defined. It is read when somebody asks for a term and not before, so
that `import motionlab` stays as fast as it is.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from motionlab.environment import Language
from motionlab.environment import language as asked_language
from motionlab.errors import InputError
from motionlab.files.reading import read_text, refusing
from motionlab.language import tr

PATH = Path(__file__).with_name("terms.yaml")
EVERY_TERM = "every term, with a search and a line that shows it: lesson 17"
LESSON = "17_glossary.ipynb"  # the lesson with every term, next to the other notebooks or above an appendix
TOPICS = {
    "motion": "what a motion is",
    "tokenizer": "motion to tokens and back",
    "transformer": "the decoder and its parts",
    "text": "text, prefix and masks",
    "generation": "predicting and drawing tokens",
    "training": "how a model learns",
    "precision": "numbers in 16 and 32 bits",
    "scaling": "memory, speed, many GPUs",
    "evaluation": "how good it is",
    "robot": "robots and policies",
    "research": "words of papers",
}
"""Every topic of a term, in the order of the lessons, and what it is about."""


@dataclass(frozen=True)
class Term:
    """One entry: the term and one sentence about it in both languages, its lesson and its topic."""

    english: str
    chinese: str
    meaning: str
    meaning_zh: str
    lesson: int
    topic: str

    def line(self, language: Language = "en") -> str:
        """The entry as one line of text."""
        if language == "zh":
            return f"{self.chinese} ({self.english}): {self.meaning_zh}"
        return f"{self.english} ({self.chinese}): {self.meaning}"

    def __str__(self) -> str:
        return self.line()


class Glossary:
    """Some terms as a list, with their meanings in one language; prints as text and shows as an HTML table."""

    def __init__(self, terms: Sequence[Term], language: Language = "en") -> None:
        if language not in ("en", "zh"):
            raise InputError("language", found=repr(language), expected='"en" or "zh"', fix="Choose one of these.")
        self.terms, self.language = tuple(terms), language

    def __len__(self) -> int:
        return len(self.terms)

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def meaning(self, term: Term) -> str:
        """The meaning of a term, in the language of this list."""
        return term.meaning if self.language == "en" else term.meaning_zh

    def __repr__(self) -> str:
        return "\n".join(term.line(self.language) for term in self.terms)

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str) -> str:  # to the left: JupyterLab's own style is for numbers
            shown = (f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in cells)
            return f"<tr>{''.join(shown)}</tr>"

        titles = line((tr(title, __file__) for title in ("term", "中文", "meaning")), "th")
        rows = "".join(line((term.english, term.chinese, self.meaning(term)), "td") for term in self.terms)
        return f"<table><thead>{titles}</thead><tbody>{rows}</tbody></table>{_way_to_all()}"


def _way_to_all() -> str:
    """A link to the lesson with every term, when a notebook of the lessons shows a list; nothing anywhere else."""
    place = f"../{LESSON}" if Path.cwd().name == "appendix" else LESSON  # an appendix of that name lies there, too
    words = html.escape(tr(EVERY_TERM, __file__))
    return f'<p><a href="{place}">{words}</a></p>' if Path(place).is_file() else ""


def glossary(*names: str, language: Language | None = None) -> Glossary:
    """The named terms, or all of them.

    Args:
        names: English terms, in any case.
        language: of the meanings, "en" or "zh"; by default that of `MOTIONLAB_LANG`.

    Raises:
        InputError: a term is not in the glossary, or no such language.

    >>> glossary("token")
    token (词元): A whole number that stands for a short piece of motion, as a word piece does for text.
    >>> glossary("causal mask", language="zh")
    因果掩码 (causal mask): 每个词元只能看到自己和之前的词元，看不到后面的。
    """
    known = {term.english.lower(): term for term in all_terms()}
    for name in names:
        if name.lower() not in known:
            raise InputError("glossary", found=repr(name), expected="a known term", fix="See ml.glossary() for all.")
    return Glossary(tuple(known[name.lower()] for name in names) or all_terms(), language or asked_language())


def find_terms(text: str = "", *, topic: str | None = None, language: Language | None = None) -> Glossary:
    """The terms that a text is about, best first.

    A term whose name is the text comes first, then names that begin with it, names in which a word begins with it,
    names that hold it, and last the meanings that hold it; each kind in the order of the alphabet. English or Chinese,
    in any case.

    Args:
        text: part of a term or of its meaning; an empty one finds all.
        topic: only terms of this one of `TOPICS`; None takes all.
        language: of the meanings that are shown, by default that of `MOTIONLAB_LANG`; both are searched.

    Raises:
        InputError: no such topic, or no such language.

    >>> [term.english for term in find_terms("mask")][:4]
    ['masked modelling', 'attention mask', 'causal mask', 'att_2d_masks']
    >>> find_terms("因果")
    causal mask (因果掩码): Each token sees itself and what came before, never what comes after.
    """
    if topic is not None and topic not in TOPICS:
        raise InputError("topic", found=repr(topic), expected=", ".join(TOPICS), fix="Choose one of these.")
    wanted = " ".join(text.lower().split())
    ranked = [(_rank(term, wanted), term) for term in all_terms() if topic in (None, term.topic)]
    found = sorted((pair for pair in ranked if pair[0] is not None), key=lambda pair: pair[0] or 0)  # a stable sort
    return Glossary([term for _, term in found], language or asked_language())


def _rank(term: Term, wanted: str) -> int | None:
    """0 is best, None does not fit."""
    names = (term.english.lower(), term.chinese.lower())
    tests = (
        wanted in names,
        any(name.startswith(wanted) for name in names),
        any(word.startswith(wanted) for name in names for word in name.replace("-", " ").split()),
        any(wanted in name for name in names),
        wanted in term.meaning.lower() or wanted in term.meaning_zh.lower(),
    )
    return next((rank for rank, fits in enumerate(tests) if fits), None)


@functools.cache
def all_terms() -> tuple[Term, ...]:
    """Every term, by the English alphabet."""
    return read_terms(PATH)


def read_terms(path: str | Path) -> tuple[Term, ...]:
    """Read and check a file of terms.

    Raises:
        InputError: no list of terms; a field is missing, blank, unknown or of another kind; a topic that does not
            exist; a term that is there twice, or out of its place in the alphabet.
    """
    path, fix = Path(path), "Correct the file."
    with refusing(path, expected="YAML", fix=fix):
        entries = yaml.safe_load(read_text(path, expected="YAML", fix=fix))
    if not isinstance(entries, list) or not entries:
        raise InputError(path, found=type(entries).__name__, expected="a list of terms", fix=fix)
    terms = tuple(_term(entry, f"{path.name}, term {number}") for number, entry in enumerate(entries, start=1))
    for kind in ("english", "chinese"):
        names = [getattr(term, kind).lower() for term in terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(path.name, found=f"{twice[0]!r} twice", expected="each term once", fix="Join the two.")
    for one, two in zip(terms, terms[1:], strict=False):
        if one.english.lower() > two.english.lower():
            raise InputError(
                path.name, found=f"{two.english!r} after {one.english!r}", expected="the order of the alphabet", fix=fix
            )
    return terms


def _term(entry: Any, where: str) -> Term:
    names = [field.name for field in fields(Term)]
    if not isinstance(entry, Mapping):
        raise InputError(where, found=type(entry).__name__, expected=", ".join(names), fix="Write the fields.")
    if set(entry) != set(names):
        odd = sorted(map(str, set(entry) ^ set(names)))
        what = "an unknown" if odd[0] not in names else "no"
        raise InputError(where, found=f"{what} field {odd[0]!r}", expected=", ".join(names), fix="Correct the fields.")
    for name in names:
        value, kind = entry[name], int if name == "lesson" else str
        if type(value) is not kind or (isinstance(value, str) and not value.strip()):
            expected = "the number of a lesson" if kind is int else "a text that is not empty"
            raise InputError(f"{where}, {name}", found=repr(value), expected=expected, fix="Write one.")
    if not 0 <= entry["lesson"] <= 99:
        raise InputError(f"{where}, lesson", found=entry["lesson"], expected="0 to 99", fix="Correct the number.")
    if entry["topic"] not in TOPICS:
        fix = "Choose one of these."
        raise InputError(f"{where}, topic", found=repr(entry["topic"]), expected=", ".join(TOPICS), fix=fix)
    return Term(**entry)
