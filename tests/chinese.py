"""Helpers for the tests of all catalogues: the texts that code shows, and the faults that a catalogue may have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from motionlab.language import NAME

HAN = re.compile("[一-鿿，。：；（）？]")
ENGLISH = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")  # three words in a row


def pairs(path: Path) -> list[tuple[str, str]]:
    """The pairs of a catalogue, in the order of the file."""
    return [(entry["en"], entry["zh"]) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def faults(path: Path) -> list[str]:
    """A pair that is there twice, that names other values on one side, or that is not Chinese."""
    found, seen = [], set()
    for english, chinese in pairs(path):
        names = [sorted(NAME.findall(text)) for text in (english, chinese)]
        form = shape(english)
        if form in seen:
            found.append(f"twice: {english}")
        if names[0] != names[1] or len(set(names[0])) < len(names[0]):
            found.append(f"names: {english}")
        if not HAN.search(chinese):
            found.append(f"not Chinese: {english}")
        seen.add(form)
    return found


def shape(text: str) -> str:
    """A text of a catalogue, or of `texts`, without the names of its values."""
    return NAME.sub("{}", text)


def differences(shown: Iterable[str], path: Path) -> dict[str, list[str]]:
    """Texts without a pair, and pairs without a text. `shown` holds shapes."""
    shown, known = set(shown), {shape(english) for english, _ in pairs(path)}
    return {"missing": sorted(shown - known), "stale": sorted(known - shown)}


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text in a piece of code, with `{}` for each value of an f-string, and none of the docstrings.

    >>> list(texts(ast.parse('say(f"{n} of {len(all)}: {n or \\'none\\'}" + " codes")')))
    ['{} of {}: {} codes', 'none']
    """
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return  # a docstring
    template = _template(tree)
    if template is not None:
        yield template
        for node in ast.walk(tree):
            if isinstance(node, ast.FormattedValue):
                yield from texts(node.value)
        return
    for child in ast.iter_child_nodes(tree):
        yield from texts(child)


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join("{}" if isinstance(part, ast.FormattedValue) else part.value for part in node.values)  # type: ignore[attr-defined]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = _template(node.left), _template(node.right)
        if sides != (None, None):
            return "".join("{}" if side is None else side for side in sides)
    return None
