"""Stopping when it gets no better."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.training.checkpoints.checkpoint import read_checkpoint
from motionlab.training.reporting.hooks import Hook


class Ends(Hook):
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def ended(self, counters: Any, reason: str) -> None:
        self.reasons.append(reason)


def values(numbers: list[float]) -> Any:
    iterator: Iterator[float] = iter(numbers)
    return lambda: {"loss": next(iterator)}


def test_stops_after_as_many_validations_without_a_better_one(toy: Any, settings: Any, tmp_path: Path) -> None:
    ends = Ends()
    options = settings(steps=100, val_every=2, save_every=50, patience=3)
    history = toy().fit(tmp_path, options, validate=values([5, 4, 4, math.nan, 3, 3, 6, 7, 0]), hooks=[ends])
    assert history.points("val_loss")[0][-1] == 16 and ends.reasons == ["early"]
    record = read_checkpoint(tmp_path / "checkpoints")[1]
    assert record["step"] == 16 and record["counters"]["best_step"] == 10


def test_a_run_that_stopped_early_does_not_go_on(toy: Any, settings: Any, tmp_path: Path) -> None:
    options = settings(steps=20, val_every=2, patience=1)
    a, b = toy(), toy()
    rows = a.fit(tmp_path, options, validate=values([1, 2])).rows
    assert b.fit(tmp_path, options, resume=True, batches=lambda i: 1 / 0).rows == rows
    assert torch.equal(a.model.outer.weight, b.model.outer.weight)
    more = toy().fit(tmp_path, settings(steps=20, val_every=2, patience=2), resume=True, validate=values([3]))
    assert more.column("step")[-1] == 6


def test_patience_is_counted_across_a_resume(toy: Any, settings: Any, tmp_path: Path) -> None:
    options = settings(steps=50, val_every=2, save_every=1, patience=2)
    first = toy()
    with pytest.raises(ZeroDivisionError):
        first.fit(tmp_path, options, validate=values([1, 2]), batches=lambda i: first.batches(i) if i < 5 else 1 / 0)
    history = toy().fit(tmp_path, options, validate=values([2, 2, 2]), resume=True)
    assert history.column("step")[-1] == 6


def test_those_who_listen_hear_of_every_end(toy: Any, settings: Any, tmp_path: Path) -> None:
    ends = Ends()
    toy().fit(tmp_path / "a", settings(), hooks=[ends])
    with pytest.raises(ZeroDivisionError):
        toy().fit(tmp_path / "b", settings(), hooks=[ends], batches=lambda i: 1 / 0)
    assert ends.reasons == ["done", "ZeroDivisionError: division by zero"]
