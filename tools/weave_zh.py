"""Chinese lessons: the English notebook with its prose exchanged. `make zh` writes them all.

    python -m tools.weave_zh                 every lesson that has a translation
    python -m tools.weave_zh --skeleton 05   print what is to be translated, in the form of the text file
    python -m tools.weave_zh --skeleton appendix/05

A translation is `notebooks/zh/text/05_rope.md`: for each cell of prose a line with the id of the cell and a hash of its
English text, and below it the Chinese one. That of an appendix is in `notebooks/zh/text/appendix/`.

    <!-- m3 7d0c2a91 -->
    ## 学完之后你会

When the English text changes, its hash does, and the cell is called stale until somebody has looked at it again. Code
is never translated: the cells of both notebooks are the same, byte for byte. The woven notebooks hold no outputs (they
are those of the English lesson; the site puts them in).
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from motionlab.errors import InputError
from motionlab.files import write_text

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
_MARK = re.compile(r"^<!-- (\S+) ([0-9a-f]{8}) -->$", re.MULTILINE)


def texts(notebooks: Path = NOTEBOOKS) -> dict[str, Path]:
    """Name of a notebook, such as "05_rope.ipynb" or "appendix/05_rope.ipynb" -> its translation."""
    folder = notebooks / "zh" / "text"
    files = [path for place in (folder, folder / "appendix") for path in sorted(place.glob("*.md"))]
    return {path.relative_to(folder).with_suffix(".ipynb").as_posix(): path for path in files}


@dataclass
class Translation:
    """The Chinese prose of a lesson: cell id -> (hash of the English text, Chinese text)."""

    cells: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Translation:
        """Read a text file.

        Raises:
            InputError: text before the first mark, a cell twice, or one without text.
        """
        parts = _MARK.split(path.read_text(encoding="utf-8"))
        if parts[0].strip():
            raise InputError(path, found=parts[0].strip()[:60], expected="a line <!-- id hash --> first", fix="Add it.")
        cells: dict[str, tuple[str, str]] = {}
        for name, digest, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            if name in cells or not text.strip():
                found = "twice" if name in cells else "without text"
                raise InputError(path, found=f"cell {name} {found}", expected="each once, with text", fix="Repair it.")
            cells[name] = digest, text.strip()
        return cls(cells)


def digest(text: str) -> str:
    """Eight hexadecimal digits of the English text of a cell."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:8]


def prose(notebook: NotebookNode) -> dict[str, str]:
    """The cells of prose of a notebook: id -> text."""
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "markdown"}


def stale(notebook: NotebookNode, translation: Translation) -> list[str]:
    """Cells whose translation is missing, is of another text, or belongs to no cell; empty when all is well."""
    english = prose(notebook)
    problems = [f"{name}: not translated" for name in english if name not in translation.cells]
    for name, (known, _) in translation.cells.items():
        if name not in english:
            problems.append(f"{name}: no such cell")
        elif known != digest(english[name]):
            problems.append(f"{name}: the English text has changed to {digest(english[name])}")
    return problems


def weave(notebook: NotebookNode, translation: Translation) -> NotebookNode:
    """The notebook with Chinese prose, the same code, and no outputs. A cell without a translation stays English."""
    woven: NotebookNode = nbformat.from_dict(notebook)
    for cell in woven.cells:
        if cell.cell_type == "markdown":
            cell.source = translation.cells.get(cell.id, ("", cell.source))[1]
        else:
            cell.outputs, cell.execution_count = [], None
    return woven


def skeleton(notebook: NotebookNode) -> str:
    """The text file of a lesson before it is translated: marks, and the English text under them."""
    return "\n".join(f"<!-- {name} {digest(text)} -->\n{text.strip()}\n" for name, text in prose(notebook).items())


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the Chinese lessons from their translations.")
    parser.add_argument("--skeleton", metavar="NN", help="print what is to be translated in this lesson")
    options = parser.parse_args()
    if options.skeleton:
        (path,) = NOTEBOOKS.glob(f"{options.skeleton}_*.ipynb")
        print(skeleton(nbformat.read(path, as_version=4)), end="")
        return 0
    problems = 0
    for name, text in texts().items():
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        translation = Translation.read(text)
        write_text(NOTEBOOKS / "zh" / name, nbformat.writes(weave(notebook, translation)) + "\n")
        found = stale(notebook, translation)
        problems += len(found)
        lines = [f"{name}: {len(translation.cells)} cells", *found]
        print("\n  ".join(lines))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
