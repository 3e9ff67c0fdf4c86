"""Does the comparison of notebooks compare? Damage a saved output in a copy, and see nbval fail."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow


def first_part(root: Path) -> nbformat.NotebookNode:
    """Lesson 03 up to the package's version: everything in it is fast, and it holds every kind of output."""
    notebook = nbformat.read(root / "notebooks" / "03_fsq_vs_vq_vae.ipynb", as_version=4)
    end = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## The package's version"))
    notebook.cells = notebook.cells[:end]
    return notebook


def damaged(notebook: nbformat.NotebookNode, pattern: str, replacement: str) -> nbformat.NotebookNode:
    """A copy in which the first output text that matches was changed."""
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "")
            if re.search(pattern, text):
                output.text = re.sub(pattern, replacement, text, count=1)
                return result
    raise AssertionError(f"no output matches {pattern!r}: the canary has nothing to damage")


def test_nbval_has_teeth(root: Path, tmp_path: Path) -> None:
    whole = first_part(root)
    stripped = copy.deepcopy(whole)
    for cell in stripped.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    variants = {
        "untouched": whole,
        "other_float_after_a_mark": damaged(whole, r"≈\d[\d.]*", "≈987.6"),
        "other_whole_number": damaged(whole, r"VQ uses \d+", "VQ uses 48"),
        "other_verdict": damaged(whole, "✓", "✗"),
        "stripped": stripped,
    }
    for name, notebook in variants.items():
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    for name in ("conftest.py", "sanitize.cfg"):
        shutil.copy(root / "notebooks" / name, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command += ["--nbval-sanitize-with", "sanitize.cfg", "--nbval-cell-timeout=120", "--junitxml=result.xml", "."]
    places = os.pathsep.join((str(root), str(root / "notebooks")))  # the package, and the exercises of the lesson
    environment = {**os.environ, "PYTHONPATH": places, "MOTIONLAB_PROFILE": "ci"}
    environment.pop("MOTIONLAB_SOLUTIONS", None)
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=500)
    failures: dict[str, list[str]] = {name: [] for name in variants}
    for case in ElementTree.parse(tmp_path / "result.xml").iter("testcase"):
        name = next(name for name in sorted(variants, key=len, reverse=True) if name in case.get("classname", ""))
        failures[name] += [case.get("name", "") for _ in case.iter("failure")]
    assert {name: len(cells) for name, cells in failures.items()} == {
        "untouched": 0,
        "other_float_after_a_mark": 0,
        "other_whole_number": 1,
        "other_verdict": 1,
        "stripped": 0,  # nothing is compared: this is why the hygiene test wants execution counts and outputs
    }
