"""benchmarks/engine_cost.py keeps the numbers of each engine, and those of a part of the clips not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from motionlab.evaluation.intervals import Interval
from motionlab.jobs.engine_cost import EngineCost


def test_each_engine_has_its_runs(
    load_benchmark: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bench, whole = load_benchmark("engine_cost"), Interval(1.0, 1.0, 1.0, 8)
    config = SimpleNamespace(name="tiny", llama_training=SimpleNamespace(seed=3))
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "engine_cost.json")
    monkeypatch.setattr(bench.Run, "open", lambda folder: SimpleNamespace(config=config))
    monkeypatch.setattr(bench, "prepare", lambda config: SimpleNamespace(tests={"seen_pairs": "clips"}))
    monkeypatch.setattr(
        bench, "engine_cost", lambda *asked: EngineCost(whole, whole, {"torch": Interval(0.5, 0, 1, 8)})
    )
    bench.main(["one", "--clips", "4"])
    assert not list(tmp_path.iterdir()) and "one: seen_pairs" in capsys.readouterr().out
    bench.main(["one", "two"])
    bench.main(["one", "--engine", "onnx"])
    kept = json.loads(bench.RESULTS.read_text())["engines"]
    assert {engine: len(runs) for engine, runs in kept.items()} == {"onnx-int8": 2, "onnx": 1}
    assert kept["onnx"][0]["seed"] == 3 and kept["onnx"][0]["splits"]["seen_pairs"]["score"]["torch"]["value"] == 0.5
