"""The command line called in this process, and jobs that only note how they were called."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from motionlab import cli
from motionlab.jobs.generate import GeneratedMotion


def run_cli(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as exit:
        cli.main(list(arguments))
    code = exit.value.code
    return int(code or 0)


class TwoSeconds(list[int]):
    """A motion as the command line sees it: a length and a duration."""

    duration = 2.0


GENERATED = GeneratedMotion(
    "a person walks",
    TwoSeconds(range(60)),  # type: ignore[arg-type]
    types.SimpleNamespace(tokens=[7] * 15, stopped_by="limit"),  # type: ignore[arg-type]
)


def failing_job(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    fake = types.ModuleType("motionlab.jobs.main_job")

    def run(*_: Any) -> None:
        raise error

    fake.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "motionlab.jobs.main_job", fake)
