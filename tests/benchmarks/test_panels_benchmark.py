"""The cells of benchmarks/panels.py are those that the browser looks at, and each can be measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.notebooks.test_browser import PANELS


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("panels")


def test_no_panel_is_left_out(bench: ModuleType) -> None:
    assert bench.PANELS == PANELS and set(bench.IMPORTS) <= set(PANELS)


def test_a_panel_is_measured_in_processes_of_its_own(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = bench.measure("ml.confidence('05', 'before')", 1)
    assert all(wall > 0 and processor > 0 for wall, processor in (row[name] for name in bench.NUMBERS))
    assert row["empty"][1] > row["again"][1], "the imports count"
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    monkeypatch.setattr(bench, "measure", lambda cell, repeat: {**row, "panel": cell})
    bench.main(["--quick"])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.startswith(PANELS[0]) and second.startswith(PANELS[1]) and not list(tmp_path.iterdir())
    assert f"| `{row['panel']}` | {row['empty'][0]:.2f} (" in bench.as_table([row], {"cores": 2})
