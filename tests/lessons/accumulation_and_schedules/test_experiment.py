"""Lesson 10: the checks name the mistakes, and the four ways to break accumulation are what the lesson says."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import pytest
import torch

from lessons.accumulation_and_schedules import experiment as lesson10
from lessons.accumulation_and_schedules import runs as lesson10_runs
from lessons.accumulation_and_schedules.exercises import _mistake, shares, warmup_cosine
from lessons.accumulation_and_schedules.exercises import accumulate as accumulate_rows
from lessons.accumulation_and_schedules.experiment import (
    accumulate,
    distance_to_big_batch,
    gradient,
    groups_of_epoch,
    join,
    train,
)
from lessons.shared.small_models import sequence_batches, small_decoder
from motionlab.llama.objectives.losses import sequence_losses
from motionlab.training.schedule import lr_factor

# ---- exercises -------------------------------------------------------------------------------------------------------
SHARES_MUTANTS = {
    "one each": (lambda counts: [1.0] * len(counts), "SUM of the means"),
    "1 / A": (lambda counts: [1 / len(counts)] * len(counts), "treats every micro-batch alike"),
    "1 / n": (lambda counts: [1 / n if n else 0 for n in counts], "ARE means already"),
    "n": (lambda counts: list(counts), "sums now"),
    "of the largest": (lambda counts: [n / max(counts) for n in counts], "add up to 1"),
    "reversed": (lambda counts: shares(counts)[::-1], "should be 0.5, 0.25, 0.25"),
    "one number": (lambda counts: 1.0, "for each micro-batch"),
}


def _joined(model, batches, optimizer):
    accumulate_rows(model, [torch.cat(list(batches))], optimizer)


def _one_backward(model, batches, optimizer):
    total = sum(len(x) for x in batches)
    optimizer.zero_grad()
    sum(model(x).sum() / total for x in batches).backward()
    optimizer.step()


def _never_cleared(model, batches, optimizer):
    total = sum(len(x) for x in batches)
    for x in batches:
        (model(x).sum() / total).backward()
    optimizer.step()


def _cleared_after(model, batches, optimizer):
    _never_cleared(model, batches, optimizer)
    optimizer.zero_grad()


ACCUMULATE_MUTANTS = {
    "zero_grad inside": (_mistake("zero inside"), "only the last micro-batch counts"),
    "mean of means": (_mistake("mean of means"), "counts twice"),
    "no divisor": (_mistake("no divisor"), "the means are added up"),
    "sum": (_mistake("sum"), "never divided"),
    "step inside": (_mistake("step inside"), "three small steps"),
    "joined": (_joined, "nothing is saved"),
    "one backward": (_one_backward, "memory of the big batch"),
    "never cleared": (_never_cleared, "earlier step"),
    "cleared after": (_cleared_after, "earlier step"),
    "nothing": (lambda model, batches, optimizer: None, "did not move"),
}

TOTAL_MUTANTS = {
    "micro-batches": (lambda c, b, a, p, e: e * math.ceil(c / (b * p)), "130 are the micro-batches"),
    "tail dropped": (lambda c, b, a, p, e: e * (math.ceil(c / (b * p)) // a), "was dropped"),
    "a fraction": (lambda c, b, a, p, e: e * c / (b * a * p), "whole"),
    "across epochs": (lambda c, b, a, p, e: math.ceil(e * c / (b * a * p)), "run across epochs"),
    "across epochs, tail dropped": (lambda c, b, a, p, e: e * c // (b * a * p), "run across epochs"),
    "one epoch": (lambda c, b, a, p, e: math.ceil(c / (b * a * p)), "this is one epoch"),
    "processes forgotten": (lambda c, b, a, p, e: e * math.ceil(math.ceil(c / b) / a), "four processes"),
    "one more": (lambda c, b, a, p, e: e * (c // (b * a * p) + 1), "96 clips"),
}


def _cosine(step, steps, warmup, floor, **change):
    if step < warmup:
        return (step + change.get("first", 1)) / warmup
    progress = (step - change.get("start", warmup)) / (steps - change.get("start", warmup))
    if not change.get("rises"):
        progress = min(1.0, progress)
    value = 0.5 * (1 + math.cos(math.pi * progress))
    return max(floor, value) if change.get("cut") else floor + (1 - floor) * value


COSINE_MUTANTS = {
    "from 0": (lambda s, n, w, f: _cosine(s, n, w, f, first=0), "the rate 0"),
    "rises": (lambda s, n, w, f: _cosine(s, n, w, f, rises=True), "climbs again"),
    "progress from 0": (lambda s, n, w, f: _cosine(s, n, w, f, start=0), "should give 1"),
    "no floor": (lambda s, n, w, f: _cosine(s, n, w, 0.0), "floor is not used"),
    "floor cut": (lambda s, n, w, f: _cosine(s, n, w, f, cut=True), "mixed in"),
    "quarter period": (
        lambda s, n, w, f: (s + 1) / w if s < w else math.cos(math.pi / 2 * min(1, (s - w) / (n - w))),
        "should be 0.5",
    ),
}

MUTANTS = {
    "accum.shares": SHARES_MUTANTS,
    "accum.accumulate": ACCUMULATE_MUTANTS,
    "schedule.total_steps": TOTAL_MUTANTS,
    "schedule.warmup_cosine": COSINE_MUTANTS,
}


def test_every_mistake_is_named(missed_mistakes) -> None:
    assert missed_mistakes(MUTANTS) == {}


def test_references_agree_with_the_package() -> None:
    for step in range(30):
        expected = lr_factor(step, steps=20, warmup_steps=4, min_lr_ratio=0.1)
        assert warmup_cosine(step, 20, 4, 0.1) == pytest.approx(expected)
    batches = [sequence_batches(4, clips=lesson10.TRAIN)(i) for i in range(3)]
    assert shares([batch.n_labels for batch in batches]) == lesson10.shares(batches, "right")


# ---- experiments -----------------------------------------------------------------------------------------------------
def test_joined_micro_batches_are_the_same_rows() -> None:
    micro = [sequence_batches(4, clips=lesson10.TRAIN)(i) for i in range(2)]
    big = join(micro)
    assert len(big) == 8 and big.n_labels == sum(batch.n_labels for batch in micro)
    model = small_decoder().eval()
    alone = [float(sequence_losses(model, batch).loss.detach()) for batch in micro]
    both = float(sequence_losses(model, big).loss.detach())
    weighted = sum(loss * share for loss, share in zip(alone, lesson10.shares(micro, "right"), strict=True))
    assert both == pytest.approx(weighted, rel=1e-5)


def test_the_right_way_is_the_big_batch_and_three_ways_are_not() -> None:
    found = {
        way: distance_to_big_batch(functools.partial(accumulate, way=way), groups=1) for way in lesson10.GRADIENT_WAYS
    }
    assert found["right"].error < 1e-5
    assert found["zero_grad inside"].error > 0.5 and found["zero_grad inside"].length < 0.8
    assert 0.01 < found["mean of means"].error < 0.5
    assert found["no divisor"].length > 3 and found["no divisor"].cosine == pytest.approx(
        found["mean of means"].cosine, abs=1e-6
    )


def test_zero_grad_inside_leaves_the_last_micro_batch() -> None:
    micro = [sequence_batches(2, clips=lesson10.TRAIN)(i) for i in range(2)]
    model = small_decoder()
    accumulate(model, micro, "zero_grad inside")
    all_but_last_forgotten = gradient(model)
    model.zero_grad()
    accumulate(model, micro[1:], "mean of means")
    assert torch.allclose(all_but_last_forgotten, gradient(model) / 2, atol=1e-7)


def test_thirteen_micro_batches_make_four_steps_or_three_and_a_rest() -> None:
    left: list[int] = []
    right = [group for epoch in range(2) for group in groups_of_epoch("right", epoch, left)]
    assert [len(group) for group in right] == [4, 4, 4, 1] * 2 and left == []
    assert sum(right, []) == list(range(26))
    wrong = [group for epoch in range(2) for group in groups_of_epoch("tail left over", epoch, left)]
    assert [len(group) for group in wrong] == [4, 4, 4, 5, 4, 4] and left == [25]


def test_trainings_differ_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson10, "TRAIN", range(9))  # micro-batches of 4, 4 and 1
    monkeypatch.setattr(lesson10, "ACCUMULATION", 2)
    right, big = (train(way, epochs=4, lr=1e-3) for way in ("right", "one big batch"))
    for a, b in zip(right.model.parameters(), big.model.parameters(), strict=True):
        # AdamW turns the rounding of a tiny gradient into a step: 2e-5 were seen; a wrong way makes 8e-3
        torch.testing.assert_close(a, b, atol=5e-4, rtol=0)
    tail = train("tail over A", epochs=4, lr=1e-3)
    assert tail.weights == pytest.approx([1, 0.5] * 4) and right.weights == pytest.approx([1] * 8)
    assert tail.rates == right.rates
    left = train("tail left over", epochs=4, lr=1e-3)
    assert left.weights == pytest.approx([1, 1.5, 1.5, 1.5]) and len(left.rates) == 4
    ways = ("schedule per micro-batch", "total in micro-batches")
    early, late = (train(way, epochs=4, lr=1e-3).rates for way in ways)
    assert min(early[:6]) < 0.2e-3 and late[-1] > 0.3e-3 > right.rates[-1]


def test_every_kept_point_is_there() -> None:
    path = Path(__file__).resolve().parents[3] / "notebooks" / "results" / "accumulation.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["done"] == [name for name, _ in lesson10_runs.points()]
    assert all(
        len(values) == 3 for section in ("ways", "sgd", "batch", "warm-up") for values in record[section].values()
    )
    rate, losses = lesson10.best_rate(record["batch"], 12)
    assert rate in lesson10_runs.RATES[12] and losses == record["batch"][f"batch 12, lr {rate:g}"]
