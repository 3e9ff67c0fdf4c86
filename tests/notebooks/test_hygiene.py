"""Rules that keep the comparison of saved outputs honest. Each was broken somewhere in public, unnoticed.

They hold for every lesson and its appendix (`notebooks/appendix/`), but those with the mark `core` only for lessons.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import nbval.plugin
import pytest

from motionlab.plots.explorable import MIME
from motionlab.plots.player import player_source
from motionlab.teaching.exercise import find_exercise
from motionlab.teaching.glossary import glossary

HEADINGS = (
    "What you will be able to do", "Intuition", "From scratch", "The package's version", "Ablation", "Exercises",
    "Summary",
)  # fmt: skip
BANNED = {
    r"\binteract(ive|_manual|ive_output)?\(": "its output lands in a widget, which nbval cannot follow: use a Panel",
    r"\bOutput\(": "its output lands in a widget, which nbval cannot follow: use a Panel",
    r"clear_output": "the saved output would depend on timing",
    r"update_display|display_id": "the saved output would depend on timing",
    r"\btqdm\b": "it prints times; training shows its own progress",
    r"FigureWidget": "it carries random ids",
    r"to_jshtml": "it stores megabytes",
    r"^\s*[!%]": "magics hide what runs",
}
# What only those know who made the lessons.
BACKSTAGE = re.compile(r"(?<![\w-])ci(?![\w-])|\b[Oo]ur notes\b|\btests? holds?\b|\bnbval\b|我们的笔记")
MOST_CORE_CELLS = 45
NOT_COMPARED = {"nbval-ignore-output", "nbval-skip"}
LESSONS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NBVAL_SKIPS = {"image/png", "image/jpeg", "application/vnd.jupyter.widget-view+json"}  # nbval's own list


def code_cells(notebook: nbformat.NotebookNode) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def compared_text(cell: Any) -> str:
    """The part of a cell that nbval really compares: text without the marked parts."""
    if NOT_COMPARED & set(cell.metadata.get("tags", [])):
        return ""
    texts = [output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return re.sub(r"≈\S+|⏱.*|device: .*|<[^>]*>", "", "\n".join(texts)).strip()


def test_there_are_lessons() -> None:
    folder = Path(__file__).resolve().parents[2] / "notebooks"
    names = [path.name for path in sorted(folder.glob("*.ipynb"))]
    assert "00_start_here.ipynb" in names and "03_fsq_vs_vq_vae.ipynb" in names
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", name) for name in names)
    appendices = {path.name for path in (folder / "appendix").glob("*.ipynb")}
    assert appendices and appendices <= set(names), "an appendix has the name of its lesson"


def test_an_appendix_finds_the_code_and_the_results_of_its_lesson() -> None:
    folder = LESSONS[0].parent
    for name in ("lessons", "results"):
        assert (folder / "appendix" / name).resolve() == folder / name


def appendix_problems(lesson: str, appendix: str, name: str) -> list[str]:
    """Problems between the prose of a lesson and of its appendix: each has a link to the other."""
    problems = []
    if f"](appendix/{name})" not in lesson:
        problems.append("the lesson has no link to its appendix")
    if f"](../{name})" not in appendix:
        problems.append("the appendix has no link to its lesson")
    return problems


@pytest.mark.core
def test_a_lesson_is_short_and_linked_with_its_appendix(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    assert len(notebook.cells) <= MOST_CORE_CELLS, "evidence belongs into the appendix"
    appendix = lesson.parent / "appendix" / lesson.name
    if appendix.exists():
        other = nbformat.read(appendix, as_version=4)
        assert appendix_problems(markdown(notebook), markdown(other), lesson.name) == []


def test_a_missing_link_is_seen() -> None:
    there, back = "see the [table](appendix/03_x.ipynb)", "of [lesson 03](../03_x.ipynb)"
    assert appendix_problems(there, back, "03_x.ipynb") == []
    assert len(appendix_problems(there, "", "03_x.ipynb")) == len(appendix_problems("", back, "03_x.ipynb")) == 1


def test_every_cell_was_executed_once_in_order(notebook: nbformat.NotebookNode) -> None:
    """On a notebook without outputs nbval compares nothing, and passes."""
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_outputs_are_compared(notebook: nbformat.NotebookNode) -> None:
    with_output = [cell for cell in code_cells(notebook) if cell.outputs]
    with_text = [cell for cell in with_output if compared_text(cell)]
    assert len(with_text) >= 5
    compared = [cell for cell in with_output if not NOT_COMPARED & set(cell.metadata.get("tags", []))]
    assert len(compared) >= 0.7 * len(with_output)


def skipped_forms() -> set[str]:
    """The forms of an output that a run of nbval leaves out: its own, and those that `notebooks/conftest.py` adds."""
    collector = SimpleNamespace(path=LESSONS[0], skip_compare=tuple(NBVAL_SKIPS))
    spec = importlib.util.spec_from_file_location("notebooks_conftest", LESSONS[0].parent / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.pytest_collectstart(collector)
    return set(collector.skip_compare)


def uncompared_outputs(cells: list[Any]) -> list[str]:
    """Sources of cells with an output that has forms, but none that nbval compares: a wrong one would pass."""
    skipped = skipped_forms()
    return [
        cell.source
        for cell in cells
        for output in cell.outputs
        if "data" in output and not set(output.data) - skipped and not NOT_COMPARED & set(cell.metadata.get("tags", []))
    ]


def test_every_output_has_a_form_that_is_compared(notebook: nbformat.NotebookNode) -> None:
    assert uncompared_outputs(code_cells(notebook)) == [], "print a line about it, or give it a text form"


@pytest.mark.parametrize(
    ("forms", "compared"),
    [
        ({"application/vnd.plotly.v1+json": {}}, False),  # what plotly 7 stores of a figure
        ({"application/vnd.plotly.v1+json": {}, "text/html": "<div>"}, False),
        ({"image/png": "AA=="}, False),
        ({"image/png": "AA==", "text/plain": "<Figure>"}, True),
        ({"text/plain": "7"}, True),
    ],
)
def test_an_output_that_holds_only_skipped_forms_is_seen(forms: dict[str, Any], compared: bool) -> None:
    cell = nbformat.v4.new_code_cell("figure", outputs=[nbformat.v4.new_output("display_data", data=forms)])
    assert uncompared_outputs([cell]) == ([] if compared else ["figure"])


def test_nbval_skips_what_this_file_says() -> None:
    """If nbval skips more one day, the list above has to grow."""
    plugin = Path(nbval.plugin.__file__).read_text(encoding="utf-8")
    named = re.search(r"self\.skip_compare = \((.*?)\n        \)", plugin, re.DOTALL)
    assert named is not None
    added = re.search(r"self\.skip_compare = self\.skip_compare \+ \((.*?)\)", plugin)
    assert added is not None
    forms = set(re.findall(r"^ *'([a-z]+/[^']+)'", named[1], re.MULTILINE)) | set(re.findall(r"'([^']+)'", added[1]))
    assert forms == NBVAL_SKIPS


def test_what_is_not_compared_says_why(notebook: nbformat.NotebookNode) -> None:
    for cell in code_cells(notebook):
        assert not re.search(r"nbval", cell.source, re.IGNORECASE), "use a tag with a reason, not a comment"
        if cell.metadata.get("tags"):
            assert cell.metadata.get("motionlab", {}).get("reason"), cell.source


def test_nothing_went_wrong_unseen(notebook: nbformat.NotebookNode) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.get("name") != "stderr", output.text
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.get("tags", []), cell.source


@pytest.mark.parametrize("pattern", BANNED)
def test_no_banned_call(notebook: nbformat.NotebookNode, pattern: str) -> None:
    guilty = [cell.source for cell in code_cells(notebook) if re.search(pattern, cell.source, re.MULTILINE)]
    assert guilty == [], BANNED[pattern]


def test_no_widget_state_and_no_path_of_a_machine(notebook: nbformat.NotebookNode) -> None:
    assert "widgets" not in notebook.metadata
    for cell in code_cells(notebook):
        for output in cell.outputs:
            for mime in ("image/png", "image/jpeg"):  # base64 spells every word sooner or later
                output.get("data", {}).pop(mime, None)
    text = nbformat.writes(notebook)
    assert "application/vnd.jupyter.widget" not in text
    assert not re.search(r"/home/|/root/|/Users/|/tmp/|site-packages", text)


def test_a_saved_player_is_the_one_of_today(notebook: nbformat.NotebookNode) -> None:
    """HTML is not compared, so an old script would stay in a saved output."""
    pages = [output.get("data", {}).get("text/html", "") for cell in code_cells(notebook) for output in cell.outputs]
    assert all(player_source() in page for page in pages if "function motionlabPlayer" in page)


def test_a_figure_to_explore_fits_a_laptop(notebook: nbformat.NotebookNode) -> None:
    """A browser shrinks a picture that is too wide; plotly's figure would be cut off."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    wide = [data[MIME]["layout"]["width"] for data in outputs if MIME in data]
    assert all(width <= 779 for width in wide), wide


def test_prose_is_about_its_subject_and_not_about_this_project(notebook: nbformat.NotebookNode) -> None:
    assert BACKSTAGE.findall(markdown(notebook)) == []


@pytest.mark.parametrize("text", sorted((LESSONS[0].parent / "zh" / "text").rglob("*.md")), ids=lambda path: path.stem)
def test_chinese_prose_is_about_its_subject(text: Path) -> None:
    assert BACKSTAGE.findall(text.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["set it to `ci`", "MOTIONLAB_PROFILE=ci", "Our notes say so", "a test holds it"])
def test_a_word_from_backstage_is_seen(text: str) -> None:
    assert BACKSTAGE.search(text) and not BACKSTAGE.search("decide, vla_ci_small, circle, the notes of a reader")


def test_sizes(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    assert lesson.stat().st_size <= 1_000_000
    assert "base64," not in markdown(notebook)
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.source
        for output in cell.outputs:
            assert len(json.dumps(output)) <= 200_000, cell.source


def is_appendix(lesson: Path) -> bool:
    return lesson.parent.name == "appendix"


def test_one_question(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    titles = re.findall(r"^# (.+)$", markdown(notebook), re.MULTILINE)
    start = f"{lesson.stem[:2]} · Appendix: " if is_appendix(lesson) else f"{lesson.stem[:2]} · "
    assert len(titles) == 1 and titles[0].startswith(start) and titles[0].endswith("?")


@pytest.mark.core
def test_seven_headings(notebook: nbformat.NotebookNode) -> None:
    text = markdown(notebook)
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == HEADINGS


def test_prose_outweighs_code(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    """About two cells of prose to one of code; a lesson is read, not scrolled. A table of an appendix has its cell."""
    cells, least = len(notebook.cells), 1.0 if is_appendix(lesson) else 1.2
    assert least <= (cells - len(code_cells(notebook))) / len(code_cells(notebook)) <= 3


def test_one_setup_cell(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    setups = [i for i, cell in enumerate(code_cells(notebook)) if "ml.setup(" in cell.source]
    assert setups == [0]
    assert f'ml.setup("{lesson.stem[:2]}")' in code_cells(notebook)[0].source


def test_code_is_valid_and_panels_are_driven(notebook: nbformat.NotebookNode) -> None:
    """A panel is driven where it is made, or in one of the next two cells: widgets themselves are not compared."""
    cells = code_cells(notebook)
    for i, cell in enumerate(cells):
        ast.parse(cell.source)
        if re.search(r"Panel\(\)", cell.source):
            assert any(".summary()" in later.source for later in cells[i : i + 3]), cell.source


def deep_imports(source: str) -> list[str]:
    """Modules inside the package that a cell imports from; `motionlab` itself and the classroom are no such modules."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("motionlab.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("motionlab."):
            found.append(node.module or "")
    return found


def test_a_lesson_imports_what_the_package_hands_out(notebook: nbformat.NotebookNode) -> None:
    """A name that a lesson needs is public: it stays where it is when a module moves."""
    assert [module for cell in code_cells(notebook) for module in deep_imports(cell.source)] == []


def test_a_deep_import_is_seen() -> None:
    assert deep_imports("import motionlab as ml\nfrom motionlab import FSQ\nfrom lessons.rope import exercises") == []
    assert deep_imports("def f():\n    from motionlab.llama.model import RMSNorm") == ["motionlab.llama.model"]
    assert deep_imports("import motionlab.plots.curves as curves") == ["motionlab.plots.curves"]


def test_new_terms_stand_beside_their_chinese(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    names = re.findall(r"ml\.glossary\(([^)]*)\)", "\n".join(cell.source for cell in code_cells(notebook)))
    assert names or is_appendix(lesson), "a lesson ends with its terms"
    for term in glossary(*ast.literal_eval(f"[{names[-1]}]")).terms if names else ():
        assert term.chinese in markdown(notebook), f"{term.english} ({term.chinese}) is not introduced in the text"


def test_every_exercise_is_a_stub_with_a_check(lesson: Path, notebook: nbformat.NotebookNode) -> None:
    sources = [cell.source for cell in code_cells(notebook)]
    found = 0
    for i, source in enumerate(sources):
        for name in re.findall(r"@ml\.exercise\(\"([\w.]+)\"\)", source):
            found += 1
            task = find_exercise(name)
            (function,) = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
            assert ast.unparse(function.body[0]) == "raise NotImplementedError", "the committed state is unsolved"
            assert [argument.arg for argument in function.args.args] == list(
                inspect.signature(task.reference).parameters
            )
            announced = f"def {function.name}({ast.unparse(function.args)}):\n    # {task.form}\n    raise Not"
            assert announced in source, "the stub says which kinds and shapes come in and go out"
            assert f"ml.check({function.name})" in source + "".join(sources[i + 1 : i + 2])
    assert found >= 1 or is_appendix(lesson)
