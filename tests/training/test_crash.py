"""Killed with SIGKILL at random and at every awkward moment, a run resumes and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX"), pytest.mark.slow]
KILLED = -signal.SIGKILL if hasattr(signal, "SIGKILL") else None


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[dict[str, Any], str]:
    """The report of crashing_trainer.py and what it wrote to stderr."""
    script = Path(__file__).with_name("crashing_trainer.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("runs"))],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr  # before it: which locks were taken over


@pytest.fixture(scope="module")
def report(ran: tuple[dict[str, Any], str]) -> dict[str, Any]:
    assert ran[0]["whole"] == 0
    return ran[0]


def test_killed_from_outside_twenty_times(report: dict[str, Any]) -> None:
    outside = report["outside"]
    assert outside["codes"] == [KILLED] * 20
    assert outside["torn"] >= 1, "no kill fell into a save"
    assert report["long"] == outside["end"] == 0 and outside["same"]
    assert outside["litter"] >= 1 and outside["left"] == []


def test_killed_before_every_operation_of_a_save(report: dict[str, Any]) -> None:
    for event, run in enumerate(report["operations"], start=5):
        assert run["code"] == KILLED, event
        assert run["end"] == 0 and run["same"], event
        kept = ["best", "best.json", "last", "last", "last.json", "step", "step"]
        assert run["files"] == kept, f"litter after event {event}"


def test_one_trainer_at_a_time(ran: tuple[dict[str, Any], str]) -> None:
    two = ran[0]["two"]
    assert two["second"] == 1 and two["alive"] and two["codes"] == [KILLED]
    assert two["end"] == 0 and two["same"] and two["left"] == []
    assert "at work since" in ran[1] and "expected one process at a time" in ran[1]


def test_killed_with_half_a_file_written(report: dict[str, Any]) -> None:
    half = report["half"]
    assert half["code"] == KILLED and half["litter"] == 1
    assert half["step"] > 0 and half["end"] == 0 and half["same"]


def test_refused_by_the_operating_system(ran: tuple[dict[str, Any], str]) -> None:
    full = ran[0]["full"]
    assert full["first"] == 0 and full["refused"] == 1
    assert full["unchanged"] and full["step"] == 4
    assert "File too large while writing, expected a folder that can be written" in ran[1]
    assert "Traceback" not in ran[1]
