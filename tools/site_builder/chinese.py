"""Saved outputs on a Chinese page. They were saved in English, once for both languages.

Text that speaks to the reader is put into Chinese: the words of a player, the list of terms at the end of a lesson, the
question how sure one is. The output of a cell stays as it was compared.
"""

from __future__ import annotations

import html
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from motionlab.language import FILE, catalogue
from motionlab.plots import player
from motionlab.teaching import glossary
from motionlab.widgets.confidence import CHINESE, ENGLISH

_TITLE = re.compile(r"^#\s+\d\d\s+·\s+(.+?)\s*$", re.MULTILINE)


def title_of(notebook: dict[str, Any]) -> str:
    """The question of a lesson, behind its number; that of the widget where a notebook asks none."""
    found = _TITLE.search("".join(notebook["cells"][0]["source"]))
    return found[1] if found else CHINESE.this


def in_chinese(output: dict[str, Any], title: str) -> dict[str, Any]:
    """An output for a Chinese page.

    Args:
        title: of the lesson, in Chinese.
    """
    data = output.get("data", {})
    text, plain = "".join(data.get("text/html", "")), "".join(data.get("text/plain", ""))
    if "motionlabPlayer(" in text:
        text = _words_of_players() + text
    elif plain.startswith("<confidence: "):
        question = re.sub("(?<=>)[^<>]+(?=<br>)", html.escape(CHINESE.question.format(title=title)), text)
        text = question.replace(f"1 {ENGLISH.least}", f"1 {CHINESE.least}")
        text = text.replace(f"5 {ENGLISH.most}", f"5 {CHINESE.most}")
    elif ">term</th>" in text and ">中文</th>" in text:
        for english, chinese in _glossary().items():
            text = text.replace(f">{english}<", f">{chinese}<")
    else:
        return output
    return {**output, "data": {**data, "text/html": text}}


@cache
def _words_of_players() -> str:
    words = dict(catalogue(Path(player.__file__).with_name(FILE)).pairs)
    return f"<script>window.motionlabWords = {json.dumps(words, ensure_ascii=False)};</script>"


@cache
def _glossary() -> dict[str, str]:
    """The words of a list of terms, and of the line below it, in both languages."""
    words = dict(catalogue(Path(glossary.__file__).with_name(FILE)).pairs)
    lines = {text: words[text] for text in ("term", "meaning", glossary.EVERY_TERM)}
    lines |= {term.meaning: term.meaning_zh for term in glossary.all_terms()}
    return {html.escape(english): html.escape(chinese) for english, chinese in lines.items()}
