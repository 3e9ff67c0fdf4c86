"""The site as a test builds it: in a process of its own, because Sphinx leaves its settings behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def build_site(root: Path, source: Path, output: Path, address: str = "", lessons: Sequence[str] = ()) -> Path:
    """The folder of the pages of a repository whose public address is `address`. A warning of Sphinx is an error."""
    code = (
        "import sys; from pathlib import Path; from tools.build_site import build;"
        "sys.exit(build(Path(sys.argv[1]), sys.argv[4:], root=Path(sys.argv[2]), address=sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(output), str(source), address, *lessons]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return output / "html"
