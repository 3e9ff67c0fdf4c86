"""One small run of the robot half, shared by its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.config import load_config
from motionlab.jobs.run_folder import Run

pytest.importorskip("h5py")


@pytest.fixture(scope="session")
def robot_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The `vla_ci` preset, run once. Tests must not change its folder."""
    from motionlab.jobs.vla.job import run_vla

    folder: Path = tmp_path_factory.mktemp("runs") / "vla_ci"
    run_vla(load_config("vla_ci"), folder)
    return Run.open(folder)
