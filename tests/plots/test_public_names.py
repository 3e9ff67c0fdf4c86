"""`ml.plots` exports the figures; the old names `ml.xxx_figure` still work, and say where they went."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import motionlab as ml


def test_every_figure_of_the_package_has_a_name_here(root: Path) -> None:
    found = {}
    for folder in ("plots", "views"):
        for path in sorted((root / "motionlab" / folder).glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and (node.name.endswith("_figure") or node.name == "explore"):
                    found[node.name] = f"motionlab.{folder}.{path.stem}"
    assert found == ml.plots._FIGURES
    assert sorted(ml.plots.__all__) == sorted(found) and set(found) <= set(dir(ml.plots))


def test_each_name_is_the_function_of_its_module() -> None:
    for name, module in ml.plots._FIGURES.items():
        function = getattr(ml.plots, name)
        assert (function.__name__, function.__module__) == (name, module)
    with pytest.raises(AttributeError, match="no attribute 'lines_figure'"):
        _ = ml.plots.lines_figure


@pytest.mark.parametrize("name", sorted(ml._MOVED_TO_PLOTS))
def test_an_old_name_warns_and_is_the_same_function(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"ml.{name} is now ml.plots.{name}") as record:
        function = getattr(ml, name)
    assert function is getattr(ml.plots, name)
    assert record[0].filename == __file__, "the warning names the line of the caller"


def test_old_names_are_not_offered() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not {name for name in dir(ml) if name.endswith("_figure")}
        assert "plots" in dir(ml) and "plots" in ml.__all__


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    code = (
        "import sys, motionlab as ml; ml.plots; assert not {'torch', 'matplotlib', 'numpy'} & set(sys.modules);"
        "ml.plots.line_figure({'a': ([1], [1])}, x_label='x', y_label='y'); assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nobody_in_the_package_or_the_lessons_uses_an_old_name(root: Path) -> None:
    for path in [*(root / "motionlab").rglob("*.py"), *(root / "notebooks").rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert not [name for name in ml._MOVED_TO_PLOTS if f"ml.{name}" in text and path.name != "__init__.py"], path
