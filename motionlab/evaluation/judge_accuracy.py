"""How far can the judge be trusted? Measured on real clips of takes that it never saw, and told next to every score.

A judge that is right about the takes it learned from says nothing: it knows them by heart. A generated motion is
another performance, so what counts is how often the judge names another real performance right. A score of generated
motions cannot be read more finely than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from motionlab.data.leaks import takes_in
from motionlab.data.splits import Clips
from motionlab.evaluation.action_lists import MEASURES, collapse, compare, wanted_actions
from motionlab.evaluation.actions import IGNORE, MIN_FRAMES, NONE, ActionClassifier, frame_labels
from motionlab.evaluation.intervals import Interval, bootstrap_mean


@dataclass(frozen=True)
class JudgeAccuracy:
    """The judge on the real clips of one split.

    Fields:
        frame_accuracy: share of the frames whose action is named right.
        order_score, exact, order_blind: means over the clips, as in `action_lists.py`.
        clips: how many.
        takes: how many performances they were made from; the intervals rest on these, not on the clips.
        intervals: low and high end and number of takes of each of the four, 95 %.
        confusion: action -> named action -> share of the frames; every row sums to 1.
    """

    frame_accuracy: float
    order_score: float
    exact: float
    order_blind: float
    clips: int
    takes: int
    intervals: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def measure_judge(model: ActionClassifier, store: Clips) -> JudgeAccuracy:
    """Compare what the judge sees in the real clips of a split with their segments."""
    classes = {name: i for i, name in enumerate([*model.actions, NONE])}
    rows: list[dict[str, float]] = []
    confusion: dict[str, Counter[str]] = {}
    takes: list[str] = []
    for i in range(len(store)):
        named = model.frames(store.features(i))  # T names
        labels = frame_labels(store, i, classes).tolist()
        pairs = [(label, name) for label, name in zip(labels, named, strict=True) if label != IGNORE]
        for label, name in pairs:
            confusion.setdefault([*model.actions, NONE][label], Counter())[name] += 1
        found = [name for name in collapse(named, MIN_FRAMES) if name != NONE]
        right = sum(classes[name] == label for label, name in pairs) / max(len(pairs), 1)
        rows.append({"frame_accuracy": right, **compare(wanted_actions(store.segments(i)), found)})
        takes.append(" + ".join(sorted(takes_in(store, i))))
    means = {name: bootstrap_mean([row[name] for row in rows], groups=takes) for name in ("frame_accuracy", *MEASURES)}
    return JudgeAccuracy(
        frame_accuracy=means["frame_accuracy"].value,
        order_score=means["score"].value,
        exact=means["exact"].value,
        order_blind=means["order_blind"].value,
        clips=len(store),
        takes=len({take for some in takes for take in some.split(" + ")}),
        intervals={_field(name): _ends(interval) for name, interval in means.items()},
        confusion={
            name: {other: count / row.total() for other, count in row.most_common()}
            for name, row in sorted(confusion.items())
        },
    )


def describe_accuracy(accuracy: JudgeAccuracy) -> str:
    """How good the judge is, in half a sentence.

    >>> trust = JudgeAccuracy(0.9, 0.856, 0.8, 0.9, 64, 8, {"order_score": (0.71, 0.96, 8)})
    >>> describe_accuracy(trust)
    'names 86 % (71 to 96) of the actions right on real clips of 8 takes that it never saw'
    """
    low, high, takes = accuracy.intervals["order_score"]
    told = Interval(accuracy.order_score, low, high, takes).percent()
    return f"names {told} of the actions right on real clips of {accuracy.takes} takes that it never saw"


def _field(measure: str) -> str:
    return "order_score" if measure == "score" else measure


def _ends(interval: Interval) -> tuple[float, float, int]:
    return interval.low, interval.high, interval.n
