"""Formulas become pictures that stand on the line of the words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("ziamath")
from sphinx.errors import ExtensionError

from tools.site_builder.formulas import formula


def test_a_formula_is_as_large_as_the_words_and_has_their_colour() -> None:
    drawn = formula(r"W_q", False)
    assert 'aria-label="W_q"' in drawn and 'fill="currentColor"' in drawn and "black" not in drawn
    width, height, below = (float(x) for x in re.findall(r":(-?[\d.]+)em", drawn)[:3])
    assert 0.8 < width < 2.5 and 0.6 < height < 2
    assert below < 0  # the q reaches below the line


def test_a_formula_with_quotes_is_no_markup() -> None:
    assert 'aria-label="a &lt; b"' in formula("a < b", False)


def test_a_wrong_formula_is_named() -> None:
    with pytest.raises(ExtensionError, match="frac"):
        formula(r"\frac{a}{", True)


def test_every_formula_of_the_lessons_is_drawn(root: Path) -> None:
    found = set()
    for path in sorted((root / "notebooks").glob("**/[0-9][0-9]*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                text = re.sub(r"```.*?```|`[^`]*`", "", "".join(cell["source"]), flags=re.DOTALL)
                found |= set(re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL))
    assert len(found) > 50
    for latex in found:
        assert formula(latex.strip("$").strip(), latex.startswith("$$")).startswith("<svg")
