"""Does the comparison of notebooks compare? Damage saved outputs in a copy, and see nbval fail."""

from __future__ import annotations

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


def damage(notebook: nbformat.NotebookNode, pattern: str, replacement: str) -> str:
    """Change the first output text that matches; returns the name that nbval gives to its cell."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code):
        for output in cell.outputs:
            text = output.get("text", "")
            if re.search(pattern, text):
                output.text = re.sub(pattern, replacement, text, count=1)
                return f"Cell {number}"
    raise AssertionError(f"no output matches {pattern!r}: the canary has nothing to damage")


def strip(notebook: nbformat.NotebookNode, pattern: str) -> str:
    """Take all outputs from the first cell in which a text matches; returns the name that nbval gives to it."""
    name = damage(notebook, pattern, "")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    stripped = code[int(name.split()[1])]
    stripped.outputs, stripped.execution_count = [], None
    return name


def test_nbval_has_teeth(root: Path, tmp_path: Path) -> None:
    """Four damages, each in a cell of its own, and one kernel for all; most cells stay as they are."""
    notebook = first_part(root)
    damages = {
        "other whole number": damage(notebook, r"VQ uses \d+", "VQ uses 48"),
        "other float after a mark": damage(notebook, r"(?<=spread 0\.2: a token carries )≈[\d.]+", "≈987.6"),
        "other verdict": damage(notebook, "✓", "✗"),
        "stripped": strip(notebook, "straight-through ends at"),
    }
    assert len(set(damages.values())) == len(damages), "one cell would hide what is said about another"
    nbformat.write(notebook, tmp_path / "damaged.ipynb")
    for name in ("conftest.py", "sanitize.cfg"):
        shutil.copy(root / "notebooks" / name, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command += ["--nbval-sanitize-with", "sanitize.cfg", "--nbval-cell-timeout=120", "--junitxml=result.xml", "."]
    places = os.pathsep.join((str(root), str(root / "notebooks")))  # the package, and the exercises of the lesson
    environment = {**os.environ, "PYTHONPATH": places, "MOTIONLAB_PROFILE": "ci"}
    environment.pop("MOTIONLAB_SOLUTIONS", None)
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=500)
    cases = list(ElementTree.parse(tmp_path / "result.xml").iter("testcase"))
    assert {"Cell 0", *damages.values()} <= {case.get("name") for case in cases}, "every cell has run"
    failed = {case.get("name") for case in cases if case.find("failure") is not None}
    # A float after a mark may differ. Where no output is saved nothing is compared: this is why the hygiene test wants
    # execution counts and outputs.
    assert failed == {damages["other whole number"], damages["other verdict"]}
