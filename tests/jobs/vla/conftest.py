"""One small run of the robot half, shared by its tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from motionlab.config import load_config
from motionlab.jobs.run_folder import Run

pytest.importorskip("h5py")


@pytest.fixture(scope="session")
def robot_run(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Run:
    """The `vla_ci` preset, run once. Tests must not change its folder."""
    from motionlab.jobs.vla.job import run_vla

    return Run.open(made_once("vla_ci", lambda folder: run_vla(load_config("vla_ci"), folder)))
