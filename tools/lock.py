"""Hashes for what constraints.txt pins: `make lock` writes requirements-hashes.txt, and `make test-hashes` tries it.

    python tools/lock.py             write the file: every pin with the sha256 of each of its files on PyPI
    python tools/lock.py --check     install it into an empty environment with --require-hashes, and import motionlab

uv asks PyPI for the hashes; it comes from PyPI itself, into a temporary folder. Two things are not in the file. torch:
its Linux build on PyPI needs CUDA libraries that constraints.txt does not pin, and the CPU build comes from somewhere
else; so torch is installed first, in whatever way suits the machine. And the extra libero, which no set-up
installs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "requirements-hashes.txt"
UV = "uv==0.13.9"
PYTHON = "3.11.5"  # the oldest that every pinned version allows
HEAD = f"""\
# Every pin of constraints.txt with the hashes of its files on PyPI (Python {PYTHON} and newer). Written by `make lock`.
# torch is not here: install it first. Then: pip install --require-hashes --no-deps -r requirements-hashes.txt
"""


def pins() -> list[str]:
    """The pins of constraints.txt that belong to the set-up, without torch."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("# The extra libero")[0]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if not line.startswith("torch==")]


def write() -> None:
    """Ask PyPI for the hashes and write the file."""
    with tempfile.TemporaryDirectory(prefix="motionlab-lock-") as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--target", folder]
        subprocess.run([*pip, UV], check=True)
        wanted, found = Path(folder) / "pins.txt", Path(folder) / "found.txt"
        wanted.write_text("\n".join(pins()) + "\n", encoding="utf-8")
        options = ["--no-deps", "--generate-hashes", "--universal", "--no-header", "--no-annotate", "--no-config", "-q"]
        command = [str(Path(folder) / "bin" / "uv"), "pip", "compile", *options, "--python-version", PYTHON]
        # Only PyPI itself, so that a local index of this machine leaves nothing in the file.
        command += ["--default-index", "https://pypi.org/simple", "-o", str(found), str(wanted)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        TARGET.write_text(HEAD + found.read_text(encoding="utf-8"), encoding="utf-8")
    print(f"{TARGET.name}: {len(pins())} packages")


def check() -> None:
    """Install from the file into an empty environment; raises when a hash or a package is missing."""
    with tempfile.TemporaryDirectory(prefix="motionlab-hashes-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "-q", "--no-compile"]
        subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), "torch"], check=True)
        subprocess.run([*install, "--require-hashes", "--no-deps", "-r", str(TARGET)], check=True)
        subprocess.run([*install, "--no-deps", str(ROOT)], check=True)
        subprocess.run([*pip, "check"], check=False)  # shown, not judged: the text encoder lacks a package on purpose
        code = "import motionlab as ml; print(ml.__version__, ml.FSQ(levels=[8, 5, 5, 5], dim=4))"
        subprocess.run([str(python), "-c", code], check=True, cwd=folder)


def main() -> int:
    parser = argparse.ArgumentParser(description="Pins with hashes.")
    parser.add_argument("--check", action="store_true", help="try the file in an empty environment")
    if parser.parse_args().check:
        check()
    else:
        write()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
