"""Files, functions and settings that the pages, lessons and docstrings name are there."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from motionlab.config import load_config
from motionlab.config.describe import describe
from tests.prose import code_files, prose

PAGES = (
    *("README.md", "README.zh.md", "CONTRIBUTING.md"),
    *(f"docs/{name}.md" for name in ("architecture", "distributed", "libero", "teaching")),
)
# Folders in which a path of a page may begin. "tokenizer/model.py" is read inside the package.
BASES = ("", "motionlab", "docs")
ENDINGS = ("py", "md", "ipynb", "toml", "yml", "yaml", "txt", "cfg", "js", "j2", "json", "jsonl")
# The first part of paths that exist only after a command was run.
MADE_LATER = ("runs", ".venv", "site/_build")
SOURCE = re.compile(r"[\w.*-]+\.(py|ipynb|j2|js|md)")
PATH = re.compile(rf"(\.?[\w*-]+/)+([\w*-]+(\.html)?(\.({'|'.join(ENDINGS)}))?)?")
MODULE = re.compile(r"(?<![\w/-])motionlab(?:\.[a-zA-Z_]\w*)+")
PYTHON_FILE = re.compile(r"(?<![\w./*-])[\w./-]*\w\.py\b")
# `function()`, `Class`, `Class.method()` and `Class.attribute`.
NAME = re.compile(r"(?:[A-Z]\w*\.)?[a-z_]\w*\(\)|[A-Z]\w*[a-z]\w*(?:\.[a-z_]\w*)?")
KEY = re.compile(r"[a-z_]+(\.[a-z_]+)+")


def lines_of(text: str) -> list[list[str]]:
    """For each line, everything between backticks and every link; and the first words of the boxes of a diagram."""
    diagrams = re.findall(r"```mermaid(.*?)```", text, flags=re.DOTALL)
    boxes = [[box] for diagram in diagrams for box in re.findall(r'\["([^\s"<]+)["<]', diagram)]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = (re.findall(r"`([^`]+)`|\]\(([^)#:]+)\)", line) for line in prose.splitlines())
    return [*boxes, *([word or link for word, link in line] for line in found)]


def words_of(text: str) -> list[str]:
    return [word for words in lines_of(text) for word in words]


def as_path(word: str) -> str | None:
    """A word as a pattern of paths, or None; NAME, TOPIC and <topic> stand for any name."""
    path = re.sub(r"<\w+>|NAME|TOPIC", "*", word.removeprefix("../"))
    is_path = PATH.fullmatch(path) or SOURCE.fullmatch(path)
    return path if is_path and not path.startswith(MADE_LATER) else None


def missing_paths(root: Path, text: str) -> list[str]:
    """The files and folders that a page names and that are not there.

    A path begins in one of BASES or in a folder that the same line has named: "`config/`: ..., `presets/`".
    """
    found = []
    for words in lines_of(text):
        bases = [root / base for base in BASES]
        for path in filter(None, map(as_path, words)):
            there = next((match for base in bases for match in base.glob(path.rstrip("/"))), None)
            if there is None:
                found.append(path)
            elif there.is_dir():
                bases.append(there)
    return found


@functools.cache
def definitions(path: Path) -> set[str]:
    """Names that a file defines: functions, classes, names at the top, and what a class holds as `Class.name`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return set(_names(tree)).union(*({f"{kind.name}.{name}" for name in _names(kind)} for kind in classes))


def _names(holder: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in holder.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def missing_functions(root: Path, text: str) -> list[str]:
    """Functions and classes that a page names and no file defines.

    A function has to be in a file that the same line names, if it names one. Classes have names of their own, so they
    may be in any file of the package.
    """
    package = root / "motionlab"
    everywhere = set().union(*(definitions(path) for path in package.rglob("*.py")))
    found = []
    for words in lines_of(text):
        files = [package / word for word in words if word.endswith(".py") and (package / word).is_file()]
        here = set().union(*(definitions(path) for path in files)) if files else everywhere
        for word in words:
            known = everywhere if word[0].isupper() else here
            if NAME.fullmatch(word) and "NAME" not in word and word.removesuffix("()") not in known:
                found.append(word)
    return found


def missing_modules(root: Path, text: str) -> list[str]:
    """Names such as motionlab.training.schedule.lr_factor that lead to no module, or to nothing that it mentions."""
    found = []
    for name in MODULE.findall(text):
        place, rest = root / "motionlab", name.split(".")[1:]
        while rest and ((place / rest[0]).is_dir() or (place / f"{rest[0]}.py").is_file()):
            place, rest = place / rest[0], rest[1:]
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if rest and not re.search(rf"\b{rest[0]}\b", source.read_text(encoding="utf-8")):
            found.append(name)
    return found


def missing_python_files(root: Path, path: Path) -> list[str]:
    """The .py files and modules that docstrings, comments and cells name and that are not there.

    A name is looked for next to the file that names it, in the folders above it, in the package, and, in the same
    paragraph, next to the file that was named before: "`quantizers/fsq.py` and `vq.py`".
    """
    above = [folder for folder in path.parents if folder.is_relative_to(root)]
    found = []
    for text in prose(path):
        folders = [*above, root / "motionlab"]
        for name in PYTHON_FILE.findall(text):
            there = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if there is None:
                found.append(name)
            else:
                folders = [*folders, *(folder for folder in there.parents if folder.is_relative_to(root))]
        found += missing_modules(root, text)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_path_of_a_page_is_there(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    assert any(map(as_path, words_of(text))), "it sees something"
    assert missing_paths(root, text) == []
    assert missing_modules(root, text) == []


def test_every_function_of_the_architecture_page_is_there(root: Path) -> None:
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert len([word for word in words_of(text) if NAME.fullmatch(word)]) > 50, "it sees something"
    assert missing_functions(root, text) == []


def test_every_setting_of_the_architecture_page_is_there(root: Path) -> None:
    keys = {row.key for row in describe(load_config("tiny"))}
    sections = {key.split(".")[0] for key in keys if "." in key}
    words = words_of((root / "docs" / "architecture.md").read_text(encoding="utf-8"))
    named = {word for word in words if KEY.fullmatch(word) and word.split(".")[0] in sections} - {"sampling.py"}
    assert len(named) > 5
    assert named - keys == set()


def test_docstrings_comments_and_lessons_name_no_file_that_moved(root: Path) -> None:
    files = [path for path in code_files(root) if path != Path(__file__)]
    gone = {str(path.relative_to(root)): missing for path in files if (missing := missing_python_files(root, path))}
    assert gone == {}


def test_the_changelog_has_each_heading_and_each_line_once(root: Path) -> None:
    """Two branches that add lines to it are easily merged to both their headings."""
    versions = (root / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(versions) >= 2
    for version in versions:
        marked = [line for line in version.splitlines() if line.startswith(("### ", "- ", "| "))]
        assert sorted({line for line in marked if marked.count(line) > 1}) == [], version.split("\n")[0]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("open `tokenizer/border.py`", ["tokenizer/border.py"]),
        ("open `tokenizer/padding.py` and `notebooks/lessons/`", []),
        ("a lesson has `lessons/<topic>/exercises.py`", ["lessons/*/exercises.py"]),
        ("write `quantizers/NAME.py`; `notebooks/lessons/<topic>/exercises.py`", []),
        ('```mermaid\na["memory/<br/>bytes"] --> b["cost/<br/>bytes"]\n```', ["memory/"]),
        ("see [the page](docs/old.md)", ["docs/old.md"]),
        ("`runs/tiny/report.html`, `a / b` and `config.yaml`", []),
    ],
)
def test_the_check_sees_a_path_that_is_gone(root: Path, text: str, missing: list[str]) -> None:
    assert missing_paths(root, text) == missing


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("`llama/masks.py`: `prefix_rule()`", []),
        ("`llama/masks.py`: `apply_rope()`", ["apply_rope()"]),
        ("`llama/model.py`: `MotionLlama.prefill()`, `MotionLlama.prefil()`", ["MotionLlama.prefil()"]),
        ("`apply_rope()`, `apply_ropes()`", ["apply_ropes()"]),
        ("`jobs/build.py`: `Run.text`, `Run.texts`, a `MotionLlama`", ["Run.texts"]),
        ("`MotionLama`, `NAME`, `N`, `[B, S]`", ["MotionLama"]),
        ("`llama/masks.py`: `prefix_rule`, `motionlab`", []),
    ],
)
def test_the_check_sees_a_function_that_is_gone(root: Path, line: str, missing: list[str]) -> None:
    assert missing_functions(root, line) == missing


def test_the_check_sees_a_module_that_moved(root: Path) -> None:
    text = "motionlab.llama.rope, motionlab.llama.rope.apply_rope, motionlab.memory.roofline, `motionlab.FSQ`"
    assert missing_modules(root, text) == ["motionlab.memory.roofline"]


def test_the_check_sees_a_file_that_moved(tmp_path: Path) -> None:
    folder = tmp_path / "motionlab" / "training"
    folder.mkdir(parents=True)
    (folder / "loop.py").write_text('"""`stage.py`, `watch.py`, training/stage.py."""\n# `group.py` counts.\n')
    (folder / "stage.py").write_text('"""See `loop.py`."""')
    assert missing_python_files(tmp_path, folder / "loop.py") == ["watch.py", "group.py"]
    assert missing_python_files(tmp_path, folder / "stage.py") == []
    notebook = tmp_path / "one.ipynb"
    cell = {"cell_type": "markdown", "source": ["`motionlab/training/loop.py` and `stage.py`, ", "then `learned.py`"]}
    notebook.write_text(json.dumps({"cells": [cell, {"cell_type": "code", "source": ["# gone.py"]}]}))
    assert missing_python_files(tmp_path, notebook) == ["learned.py"]
