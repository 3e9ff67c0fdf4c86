"""One small run of the whole pipeline, shared by the tests of the jobs."""

import pytest

from motionlab.config import load_config
from motionlab.jobs.main_job import run
from motionlab.jobs.run_folder import Run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Run:
    """The `ci` preset, run once. Tests must not change its folder."""
    folder = tmp_path_factory.mktemp("runs") / "ci"
    run(load_config("ci"), folder)
    return Run.open(folder)
