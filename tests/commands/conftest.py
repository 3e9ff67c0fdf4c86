"""Recorders in the place of the jobs: the tests here are about the command line only."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from tests.commands.recorders import GENERATED


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Put recorders in the place of the jobs: these tests are about the command line only."""
    calls: dict[str, list[Any]] = {}

    def stand_in(module: str, name: str, result: Any = None) -> None:
        def record(*args: Any, **kwargs: Any) -> Any:
            calls[name] = [args, kwargs]
            return result(*args) if callable(result) else result

        fake = sys.modules.get(module) if module in faked else types.ModuleType(module)
        faked.add(module)
        setattr(fake, name, record)
        monkeypatch.setitem(sys.modules, module, fake)

    faked: set[str] = set()
    scores = {"seen_pairs": {"clips": 4, "score": {"real": 1.0, "generated": 0.5}}}
    stand_in("motionlab.jobs.main_job", "run", lambda config, folder: folder / "report.html")
    stand_in("motionlab.jobs.prepare", "prepare", "the corpus")
    stand_in("motionlab.jobs.train", "train_stage")
    stand_in("motionlab.jobs.list_runs", "describe_runs", "the list")
    stand_in("motionlab.jobs.compare", "describe_comparison", "the table")
    stand_in("motionlab.jobs.generate", "generate_file", GENERATED)
    stand_in("motionlab.jobs.evaluate", "evaluate", scores)
    stand_in("motionlab.jobs.report", "write_report", lambda run: run.folder / "report.html")
    return calls


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the ablation job."""
    from motionlab.jobs.ablations import tokenizer as ablate

    calls: list[Any] = []
    monkeypatch.setattr(ablate, "ablate", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls
