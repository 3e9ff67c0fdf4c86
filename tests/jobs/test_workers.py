"""Processes end with the one that started them, and get the time to save."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys, time
from pathlib import Path
from motionlab.jobs.workers import worker_pool

def train(folder):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    (folder / "started").touch()
    while not stopped:
        time.sleep(0.05)
    (folder / "saved").touch()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

if __name__ == "__main__":
    with worker_pool(1) as pool:
        pool.submit(train, Path(sys.argv[1])).result()
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM cannot be caught")
def test_a_training_whose_parent_is_killed_saves(tmp_path: Path, root: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "program.py", str(tmp_path)], cwd=tmp_path, env=environment)
    for name in ("started", "saved"):
        deadline = time.monotonic() + 60  # generous: the machine may be busy
        while not (tmp_path / name).exists():
            assert time.monotonic() < deadline, f"not {name}"
            time.sleep(0.05)
        if name == "started":
            parent.kill()
            parent.wait()
