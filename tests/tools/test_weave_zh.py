"""The Chinese lessons: the same code, and prose that knows which English text it translates."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
import pytest

from motionlab.errors import InputError
from tools.weave_zh import NOTEBOOKS, Translation, digest, skeleton, stale, texts, weave

TEXTS = texts()


@pytest.fixture
def english() -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell("# A title", id="m0"), nbformat.v4.new_code_cell("1 + 1", id="c1")]
    cells[1].outputs, cells[1].execution_count = [nbformat.v4.new_output("stream", text="2")], 1
    return nbformat.v4.new_notebook(cells=cells)


def _read(folder: Path, text: str) -> Translation:
    path = folder / "text.md"
    path.write_text(text, encoding="utf-8")
    return Translation.read(path)


def test_prose_is_exchanged_and_code_is_not(english, tmp_path: Path) -> None:
    translation = _read(tmp_path, f"<!-- m0 {digest('# A title')} -->\n# 标题\n")
    before = copy.deepcopy(english)
    woven = weave(english, translation)
    assert [cell.source for cell in woven.cells] == ["# 标题", "1 + 1"]
    assert woven.cells[1].outputs == [] and english == before and stale(english, translation) == []


def test_a_changed_or_missing_text_is_called_stale(english, tmp_path: Path) -> None:
    translation = _read(tmp_path, f"<!-- m0 {digest('# Another title')} -->\n# 标题\n\n<!-- m7 00000000 -->\n多余\n")
    assert [problem.split(":")[0] for problem in stale(english, translation)] == ["m0", "m7"]
    assert stale(english, Translation()) == ["m0: not translated"]


def test_a_skeleton_is_a_translation_of_nothing(english, tmp_path: Path) -> None:
    translation = _read(tmp_path, skeleton(english))
    assert stale(english, translation) == [] and weave(english, translation).cells[0].source == "# A title"


BROKEN = ("# 标题\n", "<!-- m0 00000000 -->\n\n<!-- m1 00000000 -->\n字\n", "<!-- m0 00000000 -->\n字\n" * 2)


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_text_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"text\.md"):
        _read(tmp_path, text)


@pytest.mark.parametrize("name", TEXTS)
def test_each_lesson_is_current(name: str) -> None:
    notebook, translation = nbformat.read(NOTEBOOKS / name, as_version=4), Translation.read(TEXTS[name])
    assert stale(notebook, translation) == [], "look at the translation again, and write the new hash"
    woven = nbformat.read(NOTEBOOKS / "zh" / name, as_version=4)
    assert woven == weave(notebook, translation), "run `make zh`"
    assert [cell.source for cell in woven.cells if cell.cell_type == "code"] == [
        cell.source for cell in notebook.cells if cell.cell_type == "code"
    ]
    for cell in woven.cells:
        if cell.cell_type == "markdown":
            assert any("一" <= letter <= "鿿" for letter in cell.source), cell.source


def test_each_notebook_has_its_text() -> None:
    folder = NOTEBOOKS / "zh"
    woven = [path for place in (folder, folder / "appendix") for path in sorted(place.glob("*.ipynb"))]
    assert [path.relative_to(folder).as_posix() for path in woven] == list(TEXTS)


def test_an_appendix_has_its_text_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "zh" / "text" / "appendix").mkdir(parents=True)
    for name in ("appendix/03_a.md", "03_a.md", "04_b.md"):
        (tmp_path / "zh" / "text" / name).touch()
    assert list(texts(tmp_path)) == ["03_a.ipynb", "04_b.ipynb", "appendix/03_a.ipynb"]


def test_results_and_code_of_lessons_are_found_from_the_chinese_folders() -> None:
    for name in ("lessons", "results"):
        for folder in (NOTEBOOKS / "zh", NOTEBOOKS / "zh" / "appendix"):
            assert (folder / name).resolve() == NOTEBOOKS / name
