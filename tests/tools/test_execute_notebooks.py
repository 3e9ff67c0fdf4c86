"""The tool that saves the outputs of the lessons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools.execute_notebooks import lessons

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.slow
def test_outputs_are_saved_without_what_changes_from_run_to_run(root: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "01_good.ipynb", tmp_path / "02_bad.ipynb"
    cells = [
        new_code_cell("import ipywidgets\nipywidgets.IntSlider(3)"),
        new_code_cell("import os\nprint('a')\nprint(os.environ['MOTIONLAB_LANG'])"),
        new_code_cell(
            "from motionlab.config import load_config\nload_config('no such preset')",
            metadata={"tags": ["raises-exception"]},
        ),
    ]
    nbformat.write(new_notebook(cells=cells), good)
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), bad)
    untouched = bad.read_bytes()

    def run(*paths: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / "tools" / "execute_notebooks.py"), *map(str, paths)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            "MOTIONLAB_LANG": "zh",
        }  # outputs stay English
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    first = run(good, bad)
    assert first.returncode == 1, first.stderr
    assert "01_good.ipynb: written" in first.stdout and "02_bad.ipynb: FAILED" in first.stderr
    assert bad.read_bytes() == untouched

    notebook = nbformat.read(good, as_version=4)
    slider, printed, error = (cell.outputs for cell in notebook.cells)
    assert slider[0].data["text/plain"] == "IntSlider(value=3)" and WIDGET_VIEW not in slider[0].data
    assert [output.text for output in printed] == ["a\nen\n"]
    assert error[0].ename == "InputError" and str(root) not in "".join(error[0].traceback)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3]
    assert "widgets" not in notebook.metadata and set(notebook.metadata.language_info) == {"name"}

    second = run(good)
    assert second.returncode == 0 and "01_good.ipynb: unchanged" in second.stdout


def test_every_lesson_and_then_every_appendix_is_executed(tmp_path: Path) -> None:
    for name in ("zh/05_a.ipynb", "appendix/05_a.ipynb", "06_b.ipynb", "05_a.ipynb", "notes.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in lessons(tmp_path)]
    assert found == ["05_a.ipynb", "06_b.ipynb", "appendix/05_a.ipynb"]
