"""The panel of lesson 17: all terms of the lessons, searched in English and Chinese."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import ipywidgets as W

from motionlab.environment import Language, language
from motionlab.language import tr
from motionlab.teaching.exercise import lesson_file
from motionlab.teaching.glossary import TOPICS, Glossary, Term, all_terms, find_terms
from motionlab.widgets.panel import Panel, Table

ALL = "all topics"
LANGUAGES: dict[str, Language] = {"English": "en", "中文": "zh"}
NAMED = 5  # terms that the summary names
LIST_HEIGHT = 380  # pixels; a longer list has a scroll bar of its own


class Found(NamedTuple):
    """The matching terms, and how many there are in all."""

    terms: Glossary
    of: int


class GlossaryPanel(Panel):
    """Write part of a word; see the terms that match, with their meaning in either language and their lesson."""

    PRESETS: ClassVar = {"mask": {"search": "mask"}, "梯度": {"search": "梯度"}}

    def __init__(self) -> None:
        self._list = W.HTML(layout=W.Layout(width="auto"))
        super().__init__()
        self.inputs["search"].continuous_update = True  # a search takes a millisecond: show it at every letter
        self.children = (self._grid, self._buttons, self._text, self._list)

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "60px"}
        own = next(name for name, short in LANGUAGES.items() if short == language())
        return {
            "search": W.Text("", description="search", placeholder="mask, 掩码, ...", style=style),
            "topic": W.Dropdown(options=[ALL, *TOPICS], value=ALL, description="topic", style=style),
            "language": W.Dropdown(options=list(LANGUAGES), value=own, description="meaning", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> Found:
        topic = None if params["topic"] == ALL else params["topic"]
        return Found(
            find_terms(params["search"], topic=topic, language=LANGUAGES[params["language"]]), len(all_terms())
        )

    def _draw(self, result: Found) -> None:
        self._list.value = list_html(result.terms)

    def describe(self, result: Found) -> str:
        listed = [f"{term.english} {term.chinese}" for term in result.terms.terms[:NAMED]]
        listed += ["..."] if len(result.terms) > NAMED else []
        if not listed:
            return f"{len(result.terms)} of {result.of} terms"
        return f"{len(result.terms)} of {result.of} terms: {', '.join(listed)}"

    def table(self) -> Table:
        titles, *terms = self.rows(self.result)
        return Table([[self.said(title) for title in titles], *terms])  # a term is no word of this panel

    def rows(self, result: Found) -> Sequence[Sequence[str]]:
        lines = [(term.english, term.chinese, f"{term.lesson:02}", result.terms.meaning(term)) for term in result.terms]
        return [("term", "中文", "lesson", "meaning"), *lines]


def list_html(terms: Glossary) -> str:
    """The terms as a list that scrolls on its own."""
    if not len(terms):
        return f"<p>{tr('No term matches. A shorter part of the word may.', __file__)}</p>"
    entries = "".join(_entry(term, terms) for term in terms)
    return f'<div style="max-height:{LIST_HEIGHT}px;overflow-y:auto;line-height:1.45">{entries}</div>'


def _entry(term: Term, terms: Glossary) -> str:
    file = lesson_file(term.lesson)
    number = tr(f"lesson {term.lesson:02}", __file__)
    link = (
        f'<a href="{html.escape(file)}" target="_blank" style="text-decoration:underline">{number}</a>'
        if file
        else number
    )
    head = f"<b>{html.escape(term.english)}</b> · {html.escape(term.chinese)}"
    side = f'<span style="float:right;margin-right:12px">{tr(term.topic, __file__)} · {link}</span>'
    meaning = html.escape(terms.meaning(term))
    return f'<div class="motionlab-term" style="margin-bottom:7px">{side}{head}<br>{meaning}</div>'
