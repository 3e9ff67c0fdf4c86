"""The first use of a term on a page leads to the glossary, and shows what the term means when it is pointed at.

A lesson prints a term in bold where it explains it, with its name in the other language: `**query** (查询)`. That is
the first use, so no list of places is kept.
"""

from __future__ import annotations

import html
import posixpath
import re
from functools import cache

from motionlab.teaching.glossary import Term, all_terms
from tools.site_builder.links import is_chinese, outside_code

GLOSSARY = "glossary.html"
# Words that lessons explain in bold under another name than the glossary has.
SYNONYMS = {
    "causal": "causal mask",
    "code": "codebook",
    "end to end": "end-to-end training",
    "greedy": "greedy decoding",
    "guidance": "classifier-free guidance",
    "two stages": "two-stage training",
}
_BOLD = re.compile(r"(?<![*\w\[])\*\*(?P<name>[^*\n]+)\*\*(?:\s?[(（](?P<other>[^()（）\n]+)[)）])?")


def place(term: Term) -> str:
    """The name of a term's line in the glossary, as the part of an address behind `#`.

    >>> place(next(term for term in all_terms() if term.english == "RoPE"))
    'term-rope'
    """
    return "term-" + re.sub("[^a-z0-9]+", "-", term.english.lower()).strip("-")


def linked(text: str, page: str, seen: set[str]) -> str:
    """Return markdown in which each bold term that is not in `seen` is a link; `seen` grows by them.

    Args:
        text: markdown of a page, or of one cell of it.
        page: name of the page in the site, from which the link to the glossary starts.
        seen: places of the terms that this page has linked already.

    >>> linked("a **query** (查询) and a **query**", "index.md", set()).partition(" title=")[0]
    'a <a class="site-term" href="glossary.html#term-query"'
    """
    glossary = posixpath.relpath(GLOSSARY, posixpath.dirname(page) or ".")
    language = "zh" if is_chinese(page) else "en"

    def link(found: re.Match[str]) -> str:
        term = _term(found["name"], found["other"])
        if term is None or place(term) in seen:
            return found[0]
        seen.add(place(term))
        meaning = html.escape(term.meaning_zh if language == "zh" else term.meaning)
        bold = f"**{found['name']}**"
        rest = found[0][len(bold) :]
        return f'<a class="site-term" href="{glossary}#{place(term)}" title="{meaning}">{bold}</a>{rest}'

    return outside_code(text, lambda prose: _BOLD.sub(link, prose))


def _term(name: str, other: str | None) -> Term | None:
    """The term that is called so: by the word in bold, or by one of the names in the brackets behind it."""
    names = [name, *re.split("[,;，；、]", other or "")]
    return next((found for word in names if (found := _by_name().get(_plain(word)))), None)


@cache
def _by_name() -> dict[str, Term]:
    found = {_plain(name): term for term in all_terms() for name in (term.english, term.chinese)}
    return {_plain(word): found[_plain(name)] for word, name in SYNONYMS.items()} | found


def _plain(word: str) -> str:
    """The form in which words are compared: small letters, no plural, no space next to a Chinese letter."""
    word = re.sub(r"(?<=[\u4e00-\u9fff]) +| +(?=[\u4e00-\u9fff])", "", word.strip().lower())
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
