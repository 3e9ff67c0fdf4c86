"""The lessons as data."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
APPENDICES = sorted((FOLDER / "appendix").glob("[0-9][0-9]_*.ipynb"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `lesson` runs for each lesson and each appendix; with the mark `core` for lessons only."""
    if "lesson" in metafunc.fixturenames:
        paths = LESSONS if metafunc.definition.get_closest_marker("core") else [*LESSONS, *APPENDICES]
        metafunc.parametrize(
            "lesson", paths, ids=[path.relative_to(FOLDER).with_suffix("").as_posix() for path in paths]
        )


@pytest.fixture
def notebook(lesson: Path) -> nbformat.NotebookNode:
    return nbformat.read(lesson, as_version=4)
