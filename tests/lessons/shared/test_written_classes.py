"""Lessons 18 and 19 write classes in their cells, and their appendices import them: both are the same code."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"


def _classes(source: str) -> dict[str, str]:
    """Name of a class -> its code, without annotations."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize(
    ("lesson", "file"),
    [("18_build_the_decoder", "decoder"), ("19_build_the_tokenizer", "tokenizer")],
)
def test_the_appendix_has_the_classes_that_the_lesson_writes(lesson: str, file: str) -> None:
    cells = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4).cells
    written = _classes("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    imported = _classes((NOTEBOOKS / "lessons" / lesson[3:] / f"{file}.py").read_text("utf-8"))
    assert len(written) == 5
    assert imported == written


def test_an_annotation_is_no_difference_and_a_changed_line_is() -> None:
    plain = "class A:\n    def f(self, x):\n        return x"
    assert _classes("class A:\n    def f(self, x: int) -> int:\n        return x  # same") == _classes(plain)
    assert _classes(plain.replace("return x", "return -x")) != _classes(plain)
