"""Collect what the site shows into one folder, laid out as the repository is, so that links between pages stay true.

Nothing is executed. Pages are README.md (the start) and README.zh.md, docs/*.md, CHANGELOG.md, CONTRIBUTING.md, and
the lessons and their appendices with their saved outputs; `pages.py` writes the glossary, the list of public names and
the table of contents.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from motionlab.files import write_text
from tools.site_builder import chinese, diagram, links, outputs, pages, terms

PICTURES = (".png", ".gif", ".jpg", ".jpeg", ".svg", ".webp")
START = links.START["README.md"]


def collect(root: Path, target: Path, lessons: Sequence[str] = (), repository: str = "") -> list[str]:
    """Write the sources of the site into `target`, which is emptied first; return their names.

    Args:
        root: the repository.
        target: folder of the sources that Sphinx reads.
        lessons: beginnings of the names of lessons, such as "05"; none means all of them.
        repository: address of the public repository, if there is one: links to files that are no page lead there.
    """
    shutil.rmtree(target, ignore_errors=True)
    found = {name: path for name, path in _pages(root).items() if _wanted(name, lessons)}
    names = sorted({*found, *(f"{page}.md" for page in pages.WRITTEN)})
    for name, path in found.items():
        text = path.read_text(encoding="utf-8")
        source = path.relative_to(root).as_posix()
        if path.suffix == ".ipynb":
            text = _with_outputs(text, root / source.replace("/zh/", "/")) if links.is_chinese(source) else text
            prose = partial(_prose, source=source, names=names, root=root, target=target, repository=repository)
            text = _notebook(text, source, prose)
        else:
            text = _prose(text, source, names, root, target, repository)
        if name == START:
            text = f"{text.rstrip()}\n\n{pages.contents(names)}"
        write_text(target / name, text)
    for name, text in pages.written(root).items():
        write_text(target / name, text)
    return names


def _pages(root: Path) -> dict[str, Path]:
    """Name in the site -> file of the repository."""
    found = {
        **{name: root / readme for readme, name in links.START.items()},
        "CHANGELOG.md": root / "CHANGELOG.md",
        "CONTRIBUTING.md": root / "CONTRIBUTING.md",
    }
    places = ("notebooks", "notebooks/appendix", "notebooks/zh", "notebooks/zh/appendix")
    for pattern in ("docs/*.md", "docs/zh/*.md", *(f"{place}/[0-9][0-9]*.ipynb" for place in places)):
        found |= {path.relative_to(root).as_posix(): path for path in sorted(root.glob(pattern))}
    return found


def _wanted(name: str, lessons: Sequence[str]) -> bool:
    is_lesson = name.endswith(".ipynb")
    return not (is_lesson and lessons) or any(Path(name).name.startswith(lesson) for lesson in lessons)


def _prose(text: str, source: str, names: Sequence[str], root: Path, target: Path, repository: str) -> str:
    """A text of markdown with diagrams drawn, links that lead somewhere, and its pictures copied."""
    text = re.sub(r"```mermaid\n(.*?)```", lambda found: diagram.as_html(found[1]), text, flags=re.DOTALL)
    text, files = links.rewritten(text, source, names, root, repository)
    for file in files:
        if Path(file).suffix.lower() in PICTURES:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target / file)
    return text


def _with_outputs(text: str, english: Path) -> str:
    """A Chinese lesson with the outputs of the English one, whose code is the same."""
    notebook, saved = json.loads(text), json.loads(english.read_text(encoding="utf-8"))
    for cell, with_outputs in zip(notebook["cells"], saved["cells"], strict=True):
        if cell["cell_type"] == "code":
            cell["outputs"] = with_outputs["outputs"]
    return json.dumps(notebook, ensure_ascii=False)


def _notebook(text: str, page: str, prose: Callable[[str], str]) -> str:
    notebook, seen = json.loads(text), set[str]()
    language = "zh" if links.is_chinese(page) else "en"
    title = chinese.title_of(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = terms.linked(prose("".join(cell["source"])), page, seen)
        else:
            saved = cell.get("outputs", [])
            if language == "zh":
                saved = [chinese.in_chinese(output, title) for output in saved]
            cell["outputs"] = [shown for output in saved for shown in outputs.shown(output, language)]
    return json.dumps(notebook, ensure_ascii=False)
