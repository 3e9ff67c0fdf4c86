"""One small run of the whole pipeline, shared by the tests of the jobs."""

from collections.abc import Iterator
from typing import Any

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


@pytest.fixture
def offline_context(browser: Any) -> Iterator[Any]:
    """A laptop's window in which every fault and every request to another place fails the test."""
    problems: list[str] = []
    opened = browser.new_context(viewport={"width": 1280, "height": 800})
    opened.on(
        "request", lambda request: request.url.startswith(("file:", "data:", "blob:")) or problems.append(request.url)
    )
    opened.on("weberror", lambda error: problems.append(str(error.error)))
    opened.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
    yield opened
    opened.close()
    assert problems == []
