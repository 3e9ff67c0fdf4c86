"""Additions of the site to Sphinx: formulas as SVG, a link from a page to the same page in the other language, and
words of the theme ("Contents", "next") in the language of the page."""

from __future__ import annotations

import gettext
from functools import cache
from importlib.resources import files
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from tools.site_builder import formulas
from tools.site_builder.links import is_chinese

ENGLISH, CHINESE = "English", "中文"


def other_language(page: str, pages: set[str]) -> tuple[str, str] | None:
    """The same page in the other language and the name of that language, if there is such a page.

    >>> other_language("notebooks/05_rope", {"notebooks/05_rope", "notebooks/zh/05_rope"})
    ('notebooks/zh/05_rope', '中文')
    >>> other_language("notebooks/zh/05_rope", {"notebooks/05_rope"})
    ('notebooks/05_rope', 'English')
    >>> other_language("notebooks/appendix/03_x", {"notebooks/zh/appendix/03_x"})
    ('notebooks/zh/appendix/03_x', '中文')
    >>> other_language("index", {"zh/index"}), other_language("zh/index", {"index"})
    (('zh/index', '中文'), ('index', 'English'))
    >>> other_language("CHANGELOG", {"CHANGELOG"}) is None
    True
    """
    *folder, name = page.split("/")
    aside = [folder.pop()] if folder and folder[-1] == "appendix" else []
    if folder and folder[-1] == "zh":
        folder, language = folder[:-1], ENGLISH
    else:
        folder, language = [*folder, "zh"], CHINESE
    twin = "/".join([*folder, *aside, name])
    return (twin, language) if twin in pages else None


def _add_language(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    context["other_language"] = other_language(page, set(app.env.found_docs))
    if is_chinese(page):
        context["language"] = "zh"


@cache
def _chinese(domain: str) -> gettext.NullTranslations:
    """The Chinese words that came with the theme ("sphinx", of the one below it) or with its top ("booktheme")."""
    places = {
        "sphinx": files("pydata_sphinx_theme") / "locale",
        "booktheme": files("sphinx_book_theme") / "theme" / "sphinx_book_theme" / "static" / "locales",
    }
    return gettext.translation(domain, str(places[domain]), ["zh_CN", "zh"])


def _speak(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Sphinx knows one language a build; here each page chooses, right before it is written."""
    builder: Any = app.builder  # its `templates` belong to the HTML builders only
    chinese = is_chinese(page)
    words = _chinese("sphinx") if chinese else app.translator
    builder.templates.environment.install_gettext_translations(words)
    if chinese:
        context["translate"] = _chinese("booktheme").gettext
        context["theme_search_bar_text"] = f"{words.gettext('Search')}…"


def setup(app: Sphinx) -> dict[str, Any]:
    formulas.setup(app)
    app.add_lexer("csv", TextLexer)  # code hosts colour ```csv; Pygments does not know it and would warn
    app.connect("html-page-context", _add_language)
    app.connect("html-page-context", _speak, priority=900)  # after the theme, which speaks the language of the build
    return {"parallel_read_safe": True, "parallel_write_safe": True}
