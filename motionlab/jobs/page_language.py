"""Reports in the language of the reader: with `MOTIONLAB_LANG=zh` the words of a finished page are looked up.

A report is written in English, by code that knows nothing of languages. The texts between its tags are looked up one by
one in `zh.yaml`; settings, code, pictures and the words of a run or of its data stay as they are.
"""

from __future__ import annotations

import html
import re

from motionlab.environment import language
from motionlab.language import html_language, tr

# All that is not our text: scripts, styles, drawings, preformatted text, an element with translate="no" (it holds text
# only), and every tag. The rest is text.
_PAGE = re.compile(r"""(<(script|style|svg|pre)\b.*?</\2>|<(\w+) translate="no">.*?</\3>|<[^>]*>)|([^<]+)""", re.DOTALL)
_END = re.compile(r"(?<=[.?!]) (?=[A-Z“])")  # of a sentence within a paragraph


def spoken(page: str) -> str:
    """A page in the language of `MOTIONLAB_LANG`.

    >>> spoken("<h2>Corpus</h2>")
    '<h2>Corpus</h2>'
    """
    if language() == "en":
        return page
    page = page.replace('<html lang="en">', f'<html lang="{html_language()}">', 1)
    return _PAGE.sub(lambda found: found[1] or _text(found[4]), page)


def _text(written: str) -> str:
    """One text of a page, as HTML: a whole that has a pair, or its sentences one by one."""
    text = html.unescape(" ".join(written.split()))
    sentences = [text] if tr(text, __file__) != text else _END.split(text)
    found = [tr(sentence, __file__) for sentence in sentences]
    if found == sentences:
        return written
    between = " " if any(map(str.__eq__, found, sentences)) else ""  # a sentence that stays English keeps its spaces
    return html.escape(between.join(found), quote=False)
