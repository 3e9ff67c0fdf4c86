"""One small run of the whole pipeline, shared by the tests of the jobs; and reports without pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from motionlab.config import load_config
from motionlab.jobs.main_job import run
from motionlab.jobs.run_folder import Run

draw, lay_out = Figure.savefig, Figure.draw_without_rendering


@pytest.fixture(scope="session")
def finished_run(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Run:
    """The `ci` preset, run once. Tests must not change its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", draw)
        patch.setattr(Figure, "draw_without_rendering", lay_out)
        return Run.open(made_once("ci", lambda folder: run(load_config("ci"), folder)))


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Figures are made but neither laid out nor drawn: a report has some ten of them, and one takes half a second.

    For modules that run many commands, and look at what they write and say, but not at the pictures of a report.
    """

    def empty(self: Figure, file: Any, format: str = "png", **_: object) -> None:
        file.write("<svg></svg>" if format == "svg" else b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", empty)
        patch.setattr(Figure, "draw_without_rendering", lambda self: None)
        yield


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
