"""One fault of the museum: where it was seen, broken code, fixed code, and the test that tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

TOPICS = ("data", "tokenizer", "decoder", "training loop", "precision", "evaluation", "robot")


class Seen(NamedTuple):
    """The visible side of a run with the fault, or without it.

    Fields:
        number: what really comes out, in the unit of `Pitfall.measure`.
        curve: how it comes about, along `Pitfall.axis`; drawn by the panel.
        train: the training loss that the run prints; None where the fault touches no training.
        validation: the number by which the run judges itself, lower is better; None where it has none.
    """

    number: float
    curve: Sequence[float]
    train: float | None = None
    validation: float | None = None


@dataclass(frozen=True)
class Pitfall:
    """One fault of published code, reproduced.

    Args:
        name: that of its file.
        title: what is wrong, in a few words.
        topic: one of `TOPICS`.
        seen: project and thread, or whose published code has it.
        lesson: number of the lesson that explains it.
        fix: what to do instead, in one line.
        measure: what `Seen.number` is, with its unit.
        height: what the curve shows, with its unit.
        axis: what it runs along.
        broken, fixed: the two versions; they take the same arguments.
        test: takes a version; raises AssertionError when that is wrong.
        symptom: takes a version and measures it. The same numbers at every call.
        margin: the least by which the two numbers differ.
        at: places of the points of the curve along the axis; () is 0, 1, 2 ...
    """

    name: str
    title: str
    topic: str
    seen: str
    lesson: str
    fix: str
    measure: str
    height: str
    axis: str
    broken: Callable[..., Any]
    fixed: Callable[..., Any]
    test: Callable[[Callable[..., Any]], None]
    symptom: Callable[[Callable[..., Any]], Seen]
    margin: float
    at: Sequence[float] | Sequence[str] = ()

    def complaint(self, version: Callable[..., Any]) -> str | None:
        """The complaint of the test about a version; None when it passes. A test that crashes raises."""
        try:
            self.test(version)
        except AssertionError as error:
            return str(error).splitlines()[0]
        return None
