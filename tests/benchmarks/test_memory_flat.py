"""The readings of the memory benchmark: ten after the warm-up, and a verdict that can fail. No memory is asserted."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.mark.parametrize("calls", [10, 100, 1000, 37])
def test_ten_readings_after_the_warm_up(
    load_benchmark: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    module = load_benchmark("memory_flat")
    seen: list[int] = []
    monkeypatch.setattr(module, "resident", lambda: seen.append(1) or float(100 + len(seen)))
    readings = module.Readings("x", calls)
    for call in range(1, calls + 1):
        readings.after(call)
    assert module.READINGS - 1 <= len(readings.values) <= module.READINGS + 1
    assert readings.values == sorted(readings.values)


def test_the_verdict_can_fail(load_benchmark: Callable[[str], ModuleType]) -> None:
    module = load_benchmark("memory_flat")
    readings = module.Readings("x", 10)
    readings.values = [100.0, 104.9]
    assert "flat" in readings.line()
    readings.values = [100.0, 105.1]
    assert "GROWS" in readings.line()


def test_a_few_steps_of_training_are_measured(load_benchmark: Callable[[str], ModuleType]) -> None:
    assert "training" in load_benchmark("memory_flat").measure_training(20)
