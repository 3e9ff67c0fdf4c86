"""All prose of the repository that is next to code: docstrings, comments, and the text of lessons."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

CODE = ("motionlab", "notebooks", "tests", "tools", "benchmarks")


def code_files(root: Path) -> list[Path]:
    """Every file of Python, and every lesson and appendix."""
    files = [path for folder in CODE for path in sorted((root / folder).rglob("*.py"))]
    return [*files, *(path for at in ("", "appendix") for path in sorted((root / "notebooks" / at).glob("*.ipynb")))]


def prose(path: Path) -> Iterator[str]:
    """Docstrings and comments of a file of code, cell by cell the text of a notebook."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(source)["cells"]
        yield from ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
    yield from re.findall(r"#.*", source)
