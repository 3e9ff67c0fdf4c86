"""The roof, what operations do, and what a measured machine is."""

from __future__ import annotations

import time

import pytest

from motionlab.cost import roofline
from motionlab.cost.roofline import DATA_SHEETS, Machine, best_seconds, decoder_flops, elementwise, gpu_hours, matmul
from motionlab.errors import InputError


def test_memory_to_the_left_of_the_ridge_and_arithmetic_to_its_right() -> None:
    machine = Machine("m", flops=100.0, bandwidth=10.0)
    assert machine.ridge == 10
    assert [machine.attainable(x) for x in (1, 9, 10, 11, 1000)] == [10, 90, 100, 100, 100]


def test_intensity_of_a_product() -> None:
    assert matmul(2, 3, 4, 4).flops == 48 and matmul(2, 3, 4, 4).bytes == 4 * (6 + 12 + 8)
    assert matmul(512, 512, 512, 2).intensity == 2 * matmul(512, 512, 512, 4).intensity
    assert elementwise(1000).intensity == 1 / 8
    with pytest.raises(InputError, match=r"\[0, 3\] @ \[3, 4\]"):
        matmul(0, 3, 4)


def test_faster_numbers_have_a_ridge_further_right() -> None:
    for machines in DATA_SHEETS.values():
        ridges = [machine.ridge for machine in machines.values()]
        assert ridges == sorted(ridges)


def test_six_operations_a_weight_and_token() -> None:
    assert decoder_flops(1000, 0, 64, batch=2, length=10) == 6 * 1000 * 20
    attention = decoder_flops(0, 3, 64, batch=2, length=10)
    assert attention == 3 * 3 * 2 * 4 * 100 * 64
    assert decoder_flops(0, 3, 64, batch=2, length=20) == 4 * attention


def test_hours() -> None:
    assert gpu_hours(3600e12, Machine("m", 1e12, 1e9), 0.5) == 2
    for utilisation in (0.0, 1.5):
        with pytest.raises(InputError, match="utilisation"):
            gpu_hours(1.0, Machine("m", 1.0, 1.0), utilisation)


def test_the_best_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of 2 s in the first round, of 1 s afterwards, by a fake clock."""
    clock = {"now": 0.0, "calls": 0}

    def work() -> None:
        clock["calls"] += 1
        clock["now"] += 2.0 if clock["calls"] < 5 else 1.0

    monkeypatch.setattr(time, "perf_counter", lambda: clock["now"])
    assert best_seconds(work, rounds=3, at_least=4.0) == 1.0


def test_a_measured_machine_has_both_speeds() -> None:
    machine = roofline.measure_machine(size=64, megabytes=1, rounds=1)
    assert machine.flops > 1e6 and machine.bandwidth > 1e6
