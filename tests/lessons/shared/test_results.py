"""Kept runs: stopped, given again, and nothing is computed twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lessons.shared.results import keep, main


def test_runs_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, calls = tmp_path / "runs.json", []

    def point(name: str, value: float):
        def compute(record: dict[str, Any]) -> None:
            calls.append(name)
            if value < 0:
                raise KeyboardInterrupt
            keep(record, "loss", "all", value)

        return name, compute

    monkeypatch.setattr("sys.argv", ["runs", str(out), "--minutes", "-1"])
    main("", [point("one", 1.0)], {})
    assert calls == []
    monkeypatch.setattr("sys.argv", ["runs", str(out)])
    with pytest.raises(KeyboardInterrupt):
        main("", [point("one", 1.0), point("two", -1.0)], {"steps": 3})
    main("", [point("one", 1.0), point("two", math.inf)], {"steps": 4})
    assert calls == ["one", "two", "two"]
    record = json.loads(out.read_text())
    assert record == {"settings": {"steps": 4}, "done": ["one", "two"], "loss": {"all": [1.0, None]}}
