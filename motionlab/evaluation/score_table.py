"""Action scores of several kinds of motion for the same captions, each with its interval, and clip by clip.

A kind is real, reconstructed or generated motion, or a baseline. The numbers clip by clip are kept, because a table
over seeds, or of two runs, needs them (`intervals.over_seeds`, `intervals.differs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from motionlab.evaluation.action_lists import MEASURES, compare, count_actions
from motionlab.evaluation.intervals import Interval, bootstrap_mean

Found = Sequence[Sequence[str] | None]  # the actions seen in the motion of each clip; None where there is no motion


def score_table(
    wanted: Sequence[Sequence[str]],
    found: Mapping[str, Found],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    other: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """Score every kind of motion.

    Args:
        wanted: the actions that each of the N clips asks for.
        found: kind -> what was seen for each of them.
        groups: kind -> what each clip belongs to, such as its take, for kinds whose clips are not independent.
        other: (name, kind): a further row, in which the motions of this kind are scored against the captions of all
            other clips; a clip's number is the mean over them.

    Returns:
        "score", "exact" and "order_blind": kind -> mean. "intervals": measure -> kind -> [low, high, n].
        "per_clip": measure -> kind -> N numbers, None where there is no motion. "actions": kind -> action ->
        [asked for, found, found where asked for]. A kind without any motion has no row.
    """
    rows: dict[str, list[dict[str, float] | None]] = {
        kind: [None if seen is None else compare(want, seen) for want, seen in zip(wanted, some, strict=True)]
        for kind, some in found.items()
    }
    if other is not None and len(wanted) > 1:
        rows[other[0]] = [dict(row) for row in _against_others(wanted, found[other[1]])]
    rows = {kind: some for kind, some in rows.items() if any(row is not None for row in some)}
    table: dict[str, Any] = {measure: {} for measure in MEASURES}
    intervals: dict[str, dict[str, list[float]]] = {measure: {} for measure in MEASURES}
    per_clip: dict[str, dict[str, list[float | None]]] = {measure: {} for measure in MEASURES}
    for kind, some in rows.items():
        for measure in MEASURES:
            interval = mean_of([row[measure] for row in some if row is not None], _groups(groups, kind, some))
            table[measure][kind] = interval.value
            intervals[measure][kind] = [interval.low, interval.high, interval.n]
            per_clip[measure][kind] = [None if row is None else round(row[measure], 4) for row in some]
    actions = {
        kind: {name: [one.asked, one.found, one.right] for name, one in _counted(wanted, some).items()}
        for kind, some in found.items()
        if kind in rows
    }
    return {**table, "intervals": intervals, "per_clip": per_clip, "actions": actions}


def mean_of(values: Sequence[float], groups: Sequence[str] | None = None) -> Interval:
    """The mean over clips with its interval, by drawing clips, or whole groups of them, with replacement."""
    return bootstrap_mean(values, groups=groups)


def _groups(groups: Mapping[str, Sequence[str]] | None, kind: str, rows: Sequence[Any]) -> list[str] | None:
    if not groups or kind not in groups:
        return None
    return [group for group, row in zip(groups[kind], rows, strict=True) if row is not None]


def _counted(wanted: Sequence[Sequence[str]], found: Found) -> Mapping[str, Any]:
    there = [(want, seen) for want, seen in zip(wanted, found, strict=True) if seen is not None]
    return count_actions([want for want, _ in there], [seen for _, seen in there])


def _against_others(wanted: Sequence[Sequence[str]], found: Found) -> list[dict[str, float]]:
    """For each clip the mean over the motions of all others."""
    rows = []
    for number, want in enumerate(wanted):
        scores = [compare(want, seen) for at, seen in enumerate(found) if at != number and seen is not None]
        rows.append({name: sum(score[name] for score in scores) / max(len(scores), 1) for name in MEASURES})
    return rows
