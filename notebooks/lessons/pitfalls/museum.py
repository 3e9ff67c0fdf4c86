"""The faults in the order of the lesson, and the tables that are made of them."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Sequence

from lessons.pitfalls.pitfall import TOPICS, Pitfall, Seen
from motionlab.errors import InputError
from motionlab.teaching.expect import about
from motionlab.widgets.panel import Table

NAMES = (
    "bvh_pelvis_twice", "integer_stride", "rotation_layout", "nan_clip", "mirrored_leak",
    "wavelet_no_op", "rescue_ceiling", "codebook_not_saved", "velocity_of_positions",
    "foreign_tokens", "rope_pairs", "padding_in_mean", "sampler_cap",
    "zero_grad_inside", "schedule_per_process", "negative_clip", "missing_parameter", "frozen_in_train_mode",
    "log_divisor", "best_never_saved", "bool_of_text",
    "index_in_bf16", "bf16_weights", "clip_before_unscale", "schedule_after_skip",
    "mean_of_means", "r_precision_in_batches", "planned_episodes",
    "no_instruction", "blind_queries", "pooled_first", "chunk_tail", "sigmoid_gripper", "normalized_twice",
    "wrong_statistics",
)  # fmt: skip
WORSE = 0.1  # of the number without the fault: a difference that one would notice


@functools.cache
def find(name: str) -> Pitfall:
    """A fault by the name of its file.

    Raises:
        InputError: there is no such one.
    """
    if name not in NAMES:
        raise InputError("pitfall", found=repr(name), expected=", ".join(NAMES), fix="Choose one of these.")
    found: Pitfall = importlib.import_module(f"lessons.pitfalls.faults.{name}").PITFALL
    return found


def every(topic: str | None = None) -> list[Pitfall]:
    """All faults, or those of a topic."""
    if topic is not None and topic not in TOPICS:
        raise InputError("topic", found=repr(topic), expected=", ".join(TOPICS), fix="Choose one of these.")
    return [pitfall for pitfall in map(find, NAMES) if topic in (None, pitfall.topic)]


@functools.cache
def seen(name: str) -> tuple[Seen, Seen]:
    """The symptom of a fault: broken, fixed. Measured once."""
    pitfall = find(name)
    return pitfall.symptom(pitfall.broken), pitfall.symptom(pitfall.fixed)


def verdict(pitfall: Pitfall) -> str:
    """Does its test fail on the broken version and pass on the fixed one?"""
    return "✓" if pitfall.complaint(pitfall.broken) and pitfall.complaint(pitfall.fixed) is None else "✗"


def effect(broken: float | None, fixed: float | None) -> str:
    """How a number, where low is good, looks with the fault, next to the same one without it."""
    if broken is None or fixed is None:
        return "-"
    if broken != broken:
        return "nan"
    if broken > fixed * (1 + WORSE) + 1e-3:
        return "worse"
    return "better" if broken < fixed * (1 - WORSE) - 1e-3 else "the same"


def topic_table(*topics: str) -> Table:
    """Faults of some topics: where seen, what one measures with and without them, and what their tests say.

    The last column begins with ✓ where the test fails on the broken version and passes on the fixed one.
    """
    rows: list[Sequence[str]] = [
        ("fault", "seen in", "measured", "broken", "fixed", "what its test says of the broken one")
    ]
    for pitfall in itertools.chain.from_iterable(map(every, topics)):
        with_it, without = seen(pitfall.name)
        numbers = (about(with_it.number, 3), about(_rounded(without.number), 3))
        says = f"{verdict(pitfall)} {pitfall.complaint(pitfall.broken)}"
        rows.append((pitfall.title, pitfall.seen, pitfall.measure, *numbers, says))
    return Table(rows)


GAME = (
    ("zero_grad_inside", "broken"), ("clip_before_unscale", "broken"), ("missing_parameter", "fixed"),
    ("codebook_not_saved", "broken"), ("sigmoid_gripper", "broken"),
)  # fmt: skip
"""Five runs of which one is sound. Their curves are training losses."""


def answers() -> Table:
    """The runs of the game with their names, in order."""
    rows = [("run", "what it is", "what came out", "")]
    for letter, (name, version) in zip("ABCDE", GAME, strict=True):
        pitfall = find(name)
        title = pitfall.title if version == "broken" else "nothing is wrong"
        number = seen(name)[version == "fixed"].number
        rows.append((letter, title, pitfall.measure, about(number, 3)))
    return Table(rows)


def visibility() -> dict[str, tuple[str, str]]:
    """For each fault what it does to the training loss and to the validation that the run itself prints."""
    found = {}
    for name in NAMES:
        with_it, without = seen(name)
        found[name] = effect(with_it.train, without.train), effect(with_it.validation, without.validation)
    return found


def _rounded(value: float) -> float:
    """Rounding errors of a fixed version are shown as 0."""
    return 0.0 if abs(value) < 1e-3 else value
