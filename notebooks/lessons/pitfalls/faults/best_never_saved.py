"""The best loss is lowered although saving was skipped, so the file "best" never holds the best model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.training.checkpoints.state import Counters

Track = Callable[[Sequence[float], int], list[float]]


def broken(losses: Sequence[float], save_every: int) -> list[float]:
    """From the validation losses of a run to what the file `best` holds after each of them (its loss)."""
    best, stored, history = float("inf"), float("nan"), []
    for number, loss in enumerate(losses):
        if loss < best:
            best = loss
            if number % save_every == 0:  # saving is slow: not every time
                stored = loss
        history.append(stored)
    return history


def fixed(losses: Sequence[float], save_every: int) -> list[float]:
    """The remembered best is the one that was written. (The package writes it at once, and keeps no interval.)"""
    counters, stored, history = Counters(), float("nan"), []
    for loss in losses:
        if counters.best is None or loss < counters.best:
            counters.best = stored = loss
        history.append(stored)
    return history


LOSSES = [1.0 / (1 + 0.35 * i) + 0.04 * max(0, i - 8) for i in range(17)]  # falls until number 8, then overfits


def symptom(track: Track) -> Seen:
    stored = track(LOSSES, 5)
    return Seen(stored[-1], stored, validation=min(LOSSES))  # the log prints the best loss, and that is right


def test(track: Track) -> None:
    assert track([3.0, 2.0, 1.0, 2.0], 5)[-1] == 1.0, "the file holds another model than the best one"


PITFALL = Pitfall(
    name="best_never_saved",
    title="the best model is noted, and not written",
    topic="training loop",
    seen="the published code of AtlasVLA",
    lesson="10",
    fix="lower the best loss where the file is written",
    measure="loss of the model in the file",
    height="loss of the model in the file",
    axis="validation",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=0.05,
)
