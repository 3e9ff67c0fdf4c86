"""With the references in place of the stubs, every check of every lesson passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import torch

# The cells run in this process: a kernel for each lesson would cost three seconds, and nbval starts it anyway.


@pytest.fixture(autouse=True)
def state_of_torch() -> Iterator[None]:
    """`ml.setup` seeds everything and sets the threads of its process, which is this one."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


def test_every_check_passes_with_the_solutions(
    lesson: Path,
    notebook: nbformat.NotebookNode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MOTIONLAB_SOLUTIONS", "1")
    monkeypatch.chdir(lesson.parent)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    exercises = [source for source in code if "@ml.exercise(" in source or "ml.check(" in source]
    if lesson.parent.name == "appendix" and not exercises:
        return
    namespace = {"display": lambda *shown: None}
    verdicts = []
    for i, source in enumerate([code[0], *exercises]):
        exec(compile(source, f"{lesson.name}, cell {i}", "exec"), namespace)
        printed = capsys.readouterr().out
        if "ml.check(" in source:
            verdicts.append(printed)
    assert verdicts and all("✓" in verdict and "⏳" not in verdict for verdict in verdicts), verdicts
