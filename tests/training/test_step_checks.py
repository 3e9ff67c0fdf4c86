"""Numbers that are read late: nothing bad may reach the weights, and the first bad step must be found."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.tensors import read_tensors
from motionlab.training import session
from motionlab.training.reporting.history import History
from motionlab.training.stage import Losses
from motionlab.training.step_checks import WINDOW, Rising, Step, Watch


class Deferred(Watch):
    """A watch that reads as late as on a GPU, and counts how often."""

    readings = 0

    def __init__(self, device: torch.device, **more: Any) -> None:
        super().__init__(device, **{**more, "deferred": True})
        Deferred.readings = 0

    def _look(self) -> None:
        Deferred.readings += bool(self.waiting)
        super()._look()


@pytest.fixture
def deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Watch", Deferred)


def same_rows(a: History, b: History) -> bool:
    times = ("seconds", "items_per_second")
    return [{k: v for k, v in row.items() if k not in times} for row in a.rows] == [
        {k: v for k, v in row.items() if k not in times} for row in b.rows
    ]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_reading_late_changes_no_number(
    toy: Any, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    options = settings(steps=20, precision=precision, grad_accum_steps=2)
    soon, late = toy(sizes=(8, 3)), toy(sizes=(8, 3))
    a = soon.fit(tmp_path / "soon", options, step=soon.spoiled(lambda n: precision == "fp16" and n in (9, 10, 30)))
    monkeypatch.setattr(session, "Watch", Deferred)
    b = late.fit(tmp_path / "late", options, step=late.spoiled(lambda n: precision == "fp16" and n in (9, 10, 30)))
    assert same_rows(a, b)
    assert all(torch.equal(x, y) for x, y in zip(soon.model.parameters(), late.model.parameters(), strict=True))


def test_one_reading_a_log_interval(toy: Any, settings: Any, tmp_path: Path, deferred: None) -> None:
    toy().fit(tmp_path, settings(steps=20, log_every=5, val_every=100, save_every=100))
    assert Deferred.readings == 4


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_the_first_bad_step_is_found_and_touched_nothing(
    toy: Any, settings: Any, tmp_path: Path, deferred: None, kind: str
) -> None:
    """Step 7 is bad, and after a bad step all later ones are bad too. The numbers are read after step 10."""
    a, b = toy(dropout=0.0), toy(dropout=0.0)

    def step(batch: torch.Tensor) -> Losses:
        loss = a.step(batch).total
        if int(a.model.seen) == 7:
            if kind == "loss":
                return Losses(loss * math.nan)
            loss.register_hook(lambda gradient: gradient * math.inf)
        return Losses(loss)

    options = settings(steps=30, log_every=10, val_every=100, save_every=100)
    with pytest.raises(InputError, match=r"training step 7 \(micro-batches from 6\): found (loss nan|gradient norm)"):
        a.fit(tmp_path / "a", options, step=step)
    assert int(a.model.seen) == 10
    # The weights are those of a run of the same plan that was stopped after six steps.
    with pytest.raises(ZeroDivisionError):
        b.fit(tmp_path / "b", options, batches=lambda i: b.batches(i) if i < 6 else 1 / 0)
    assert all(torch.equal(x, y) for x, y in zip(a.model.parameters(), b.model.parameters(), strict=True))
    kept, described = read_tensors(tmp_path / "a" / "bad_batch_step_00000007.safetensors")
    assert torch.equal(kept["batch.6"], a.batches(6)) and described["micro_step"] == 6


def test_the_message_names_the_kept_batch(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy()
    with pytest.raises(InputError, match=r"kept in .*bad_batch_step_00000001\.safetensors.*lower lr"):
        a.fit(tmp_path, settings(), step=lambda batch: Losses(a.step(batch).total * math.nan))


# --- rising losses


def feed(rising: Rising, losses: list[float]) -> int | None:
    """The number (from 1) of the step to blame, or None."""
    for number, loss in enumerate(losses, start=1):
        step = Step(number, number - 1, 1, 1e-3, ["loss"], torch.zeros(1), {"loss": loss})
        if cause := rising.add(loss, step):
            return cause.number
    return None


def test_a_rise_names_its_first_step() -> None:
    falling = [2.0 - 0.03 * i for i in range(50)]
    assert feed(Rising(3.0, {}), falling + [50.0] * WINDOW) == 51


@pytest.mark.parametrize(
    "losses",
    [
        [1.0] * 30 + [15.0] + [1.0] * 30,  # one bad batch: its mean with 19 others is below 3
        [5.0] * 20 + [0.01] * 40 + [0.1] * 40,  # ten times a tiny loss, and still far better than at the start
        [-1.0] * 30 + [5.0] * 30,  # a factor means nothing below zero
        [1.0] * 5 + [9.0] * (WINDOW - 5),  # too few steps to compare
    ],
)
def test_what_is_no_rise(losses: list[float]) -> None:
    assert feed(Rising(3.0, {}), losses) is None


def test_it_can_be_switched_off() -> None:
    assert feed(Rising(None, {}), [1.0] * 30 + [1e9] * 30) is None


def test_a_resumed_run_stops_at_the_same_step() -> None:
    losses = [1.0] * 40 + [4.0] * 30  # the mean of 20 is above 3 once 14 of them are 4
    whole, first = Rising(3.0, {}), Rising(3.0, {})
    stops = [i for i in range(70) if feed(whole, losses[i : i + 1])]
    assert stops[0] == 53
    assert feed(first, losses[:50]) is None
    again = Rising(3.0, json.loads(json.dumps(first.state)))
    assert [i for i in range(50, 70) if feed(again, losses[i : i + 1])] == stops


def test_a_run_whose_loss_rises_is_stopped(toy: Any, settings: Any, tmp_path: Path) -> None:
    a = toy(dropout=0.0)

    def step(batch: torch.Tensor) -> Losses:
        loss = a.step(batch).total
        return Losses(loss if int(a.model.seen) <= 60 else loss * 100)

    options = settings(steps=100, lr=0.05, warmup_steps=5, save_every=10, log_every=10)
    with pytest.raises(InputError, match=r"training step 61 .*found a mean loss of .* over 20 steps.*kept in"):
        a.fit(tmp_path, options, step=step)
    assert (tmp_path / "bad_batch_step_00000061.safetensors").is_file()
