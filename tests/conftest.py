"""Fixtures that every test may use: golden vectors, a private cache, the browser."""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.pop("MOTIONLAB_LANG", None)  # what is compared is English; a test that is not asks for it
# How long a draw or an example takes says something about the machine and its other work, and nothing about the code.
settings.register_profile("motionlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("motionlab")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For workers of xdist (`--dist loadfile --no-loadscope-reorder`): files with slow tests first, then long ones.

    A file is the work of one worker. One that begins last and takes a minute would keep the others waiting.
    """
    if not hasattr(config, "workerinput"):
        return
    slow, tests = Counter[Path](), Counter(item.path for item in items)
    slow.update(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that draws from torch's own generator draws the same each time, whichever tests ran before it."""
    import torch

    torch.manual_seed(zlib.crc32(item.nodeid.encode()))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`made_once("ci", make)`: a copy of the folder that `make(folder)` fills, once for all workers of xdist.

    For what takes half a minute and what tests of several files look at. A worker that comes while another one makes
    it waits.
    """
    from motionlab.files.lock import locked

    own = tmp_path_factory.getbasetemp()
    place = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once"

    def once(name: str, make: Callable[[Path], object]) -> Path:
        whole, begun = place / name, place / "begun" / name
        begun.parent.mkdir(parents=True, exist_ok=True)
        with locked(place / f"{name}.lock", wait=600):  # generous: the machine may be busy
            if not whole.exists():
                shutil.rmtree(begun, ignore_errors=True)  # left by a worker in which it failed
                make(begun)
                begun.rename(whole)
            return Path(shutil.copytree(whole, tmp_path_factory.mktemp("copies") / name))

    return once


@pytest.fixture(scope="session")
def sanitize() -> Callable[[str], str]:
    """`sanitize(text)`: the text as it is compared with a saved output; nbval does this with notebooks/sanitize.cfg."""
    lines = (ROOT / "notebooks" / "sanitize.cfg").read_text(encoding="utf-8").splitlines()
    rules = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("regex:", "replace:"))]

    def replace(text: str) -> str:
        for pattern, replacement in zip(rules[::2], rules[1::2], strict=True):
            text = re.sub(pattern, replacement, text)
        return text

    return replace


def outside(variable: str, folder: str, name: str) -> Path:
    """A file that is not part of the repository; the test is skipped, and the skip names the file, where it is not."""
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / folder) / name
    if not path.is_file():
        pytest.skip(f"{folder} file {name} is not here; set {variable} to the folder that holds it")
    return path


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """`golden("motion272.npz")` opens a file of reference values made with the original code base.

    The files are not part of the repository. `MOTIONLAB_GOLDEN` names their folder; without it, a folder
    `shared/golden` next to the repository is used. A test without its file is skipped by name.
    """
    import numpy as np

    return lambda name: np.load(outside("MOTIONLAB_GOLDEN", "golden", name), allow_pickle=False)


@pytest.fixture(scope="session")
def real_motion() -> Callable[[str], Path]:
    """`real_motion("cmu_12_01_walk.bvh")`: a real file of a public repository, one for each skeleton convention.

    The files are not part of the repository. `MOTIONLAB_REAL_MOTION` names their folder; without it, a folder
    `shared/real_motion` next to the repository is used. A test without its file is skipped by name.
    """
    return lambda name: outside("MOTIONLAB_REAL_MOTION", "real_motion", name)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium-like browser. Without one the test is skipped; under CI it fails, or it would never run."""
    for name in (os.environ.get("MOTIONLAB_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    message = "no chromium found; install it (Debian: apt-get install chromium) or set MOTIONLAB_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def _quiet_session() -> Iterator[None]:
    """Tests do little work, never download, and keep no progress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONLAB_PROFILE", os.environ.get("MOTIONLAB_PROFILE", "ci"))
        patch.setenv("MOTIONLAB_PROGRESS", "off")  # whoever runs the tests keeps the record of their own learning
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield


@pytest.fixture
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for one test, so that it meets nothing that another run left."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MOTIONLAB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """The browser, driven by Playwright; skipped without it."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        opened = driver.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()
