"""Additions of the site to Sphinx: formulas as SVG, and a link from a page to the same page in the other language."""

from __future__ import annotations

from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from tools.site_builder import formulas

ENGLISH, CHINESE = "English", "中文"


def other_language(page: str, pages: set[str]) -> tuple[str, str] | None:
    """The same page in the other language and the name of that language, if there is such a page.

    >>> other_language("notebooks/05_rope", {"notebooks/05_rope", "notebooks/zh/05_rope"})
    ('notebooks/zh/05_rope', '中文')
    >>> other_language("notebooks/zh/05_rope", {"notebooks/05_rope"})
    ('notebooks/05_rope', 'English')
    >>> other_language("notebooks/appendix/03_x", {"notebooks/zh/appendix/03_x"})
    ('notebooks/zh/appendix/03_x', '中文')
    >>> other_language("CHANGELOG", {"CHANGELOG"}) is None
    True
    """
    folder, _, name = page.rpartition("/")
    aside = "/appendix" if folder.endswith("/appendix") else ""
    folder = folder.removesuffix("/appendix")
    if folder.endswith("/zh"):
        twin, language = f"{folder.removesuffix('/zh')}{aside}/{name}", ENGLISH
    else:
        twin, language = f"{folder}/zh{aside}/{name}", CHINESE
    return (twin, language) if twin in pages else None


def _add_language(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    context["other_language"] = other_language(page, set(app.env.found_docs))
    if "/zh/" in page:
        context["language"] = "zh"


def setup(app: Sphinx) -> dict[str, Any]:
    formulas.setup(app)
    app.add_lexer("csv", TextLexer)  # code hosts colour ```csv; Pygments does not know it and would warn
    app.connect("html-page-context", _add_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
