import time

import torch

from motionlab.training.reporting.clock import PHASES, Clock

CPU = torch.device("cpu")


def test_phases_are_told_apart_and_go_on_after_a_resume() -> None:
    clock = Clock(CPU, {"forward": 10.0})
    with clock("forward"):
        time.sleep(0.02)
    with clock("data"):
        pass
    split = clock.read()
    assert set(split) == set(PHASES)
    assert split["forward"] >= 10.02 and split["data"] < split["forward"] - 10 and split["backward"] == 0


def test_a_lap_leaves_out_validating_and_saving() -> None:
    clock = Clock(CPU)
    clock.lap()
    for phase in ("validate", "save"):
        with clock(phase):
            time.sleep(0.05)
    split = clock.read()
    assert clock.lap() < split["validate"] + split["save"]
    time.sleep(0.02)
    assert clock.lap() >= 0.02


def test_time_counts_after_an_error_too() -> None:
    clock = Clock(CPU)
    try:
        with clock("backward"):
            time.sleep(0.01)
            raise KeyError
    except KeyError:
        pass
    assert clock.read()["backward"] >= 0.01
