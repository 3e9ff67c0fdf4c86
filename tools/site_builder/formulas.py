"""Formulas as pictures in the page: no script draws them, and no font has to come from anywhere.

ziamath reads LaTeX and gives an SVG with the outlines of STIX Two Math. Sizes are in `em`, so a formula is as large as
the words around it; the colour is that of the words, in the dark theme, too.
"""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from ziamath.zmath import Latex

SIZE = 16.0  # pixels of one em while ziamath draws


@cache
def formula(latex: str, display: bool) -> str:
    """One formula as an `<svg>` element, with its LaTeX for readers who hear the page.

    Raises:
        ExtensionError: ziamath cannot read it.
    """
    try:
        drawn = Latex(" ".join(latex.split()), size=SIZE, inline=not display).svg()
    except Exception as error:  # it raises several kinds of its own
        raise ExtensionError(f"formula {latex!r}: {error}") from error
    found = re.match(r'<svg [^>]*width="([\d.-]+)" height="([\d.-]+)" viewBox="([\d. -]+)">', drawn)
    if found is None:
        raise ExtensionError(f"formula {latex!r}: an unknown form of SVG")
    width, height = float(found[1]), float(found[2])
    below = height + float(found[3].split()[1])  # of the line that letters stand on
    head = (
        f'<svg class="formula" role="img" aria-label="{html.escape(latex, quote=True)}" viewBox="{found[3]}" '
        f'style="width:{width / SIZE:.3f}em;height:{height / SIZE:.3f}em;vertical-align:{-below / SIZE:.3f}em">'
    )
    return head + drawn[found.end() :].replace('fill="black"', 'fill="currentColor"')


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(f'<span class="math-inline">{formula(node.astext(), False)}</span>')
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math-block">{formula(node.astext(), True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("svg", inline_renderers=(_inline, None), block_renderers=(_block, None))
