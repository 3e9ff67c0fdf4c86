"""Successes are divided by the episodes that were asked for; the run was stopped after a quarter of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lessons.pitfalls.pitfall import Pitfall, Seen
from motionlab.evaluation.intervals import wilson

Rate = Callable[[Sequence[bool], int], float]


def broken(results: Sequence[bool], planned: int) -> float:
    """The success rate of a task."""
    return sum(results) / planned


def fixed(results: Sequence[bool], planned: int) -> float:
    """Of the episodes that were run. (`wilson` also says how little five of them tell.)"""
    return wilson(sum(results), len(results)).value


EPISODES = [True, True, False, True, True] * 4


def symptom(rate: Rate) -> Seen:
    rates = [100 * rate(EPISODES[:done], 20) for done in range(5, 21)]
    return Seen(rates[0], rates, validation=1 - rates[0] / 100)


def test(rate: Rate) -> None:
    assert rate([True] * 5, 20) == 1.0, "five successes in five episodes are a hundred percent"


PITFALL = Pitfall(
    name="planned_episodes",
    title="divided by the episodes planned",
    topic="evaluation",
    seen="the published code of AtlasVLA",
    lesson="13",
    fix="count what was run, and print the count",
    measure="success rate of a policy that is right in 80 %, %",
    height="success rate, %",
    axis="episodes that were run, of 20",
    broken=broken,
    fixed=fixed,
    test=test,
    symptom=symptom,
    margin=40.0,
    at=range(5, 21),
)
