"""A benchmark as a module: the tests try its pairs on small sizes, and no time is asserted."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def load_benchmark(root: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Load `benchmarks/<name>.py` as Python would load it from its own folder."""
    folder = root / "benchmarks"
    before = dict(os.environ)  # the scripts set how torch waits and what it logs
    sys.path.insert(0, str(folder))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", folder / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    yield load
    sys.path.remove(str(folder))
    for name in set(os.environ) - set(before):
        del os.environ[name]
