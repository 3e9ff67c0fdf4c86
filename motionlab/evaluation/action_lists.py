"""Are these the actions that the caption names? Lists of actions, and three ways to compare two of them.

* **score**: the longest common subsequence over the longer list. A missing, an added and a misplaced action all cost.
* **exact**: 1 when the lists are equal, else 0.
* **order-blind**: F1 of the two lists as multisets. A wrong order costs nothing, so `score` far below it means that
  the right actions come in the wrong order.

Of any of them only the mean over clips says something, with an interval (`intervals.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

MEASURES = ("score", "exact", "order_blind")


def collapse(frames: Sequence[str], min_frames: int) -> list[str]:
    """Frame labels to the ordered list of actions: drop short runs, then merge equal neighbours.

    >>> collapse(["walk"] * 20 + ["kick"] * 2 + ["walk"] * 9 + ["jump"] * 10, min_frames=8)
    ['walk', 'jump']
    """
    return [name for name, _, _ in spans(frames, min_frames)]


def spans(frames: Sequence[str], min_frames: int) -> list[tuple[str, int, int]]:
    """The same with the place of each action: (name, first frame, the one after its last).

    >>> spans(["walk"] * 20 + ["kick"] * 2 + ["walk"] * 9 + ["jump"] * 10, min_frames=8)
    [('walk', 0, 31), ('jump', 31, 41)]
    """
    found: list[tuple[str, int, int]] = []
    start = 0
    for name, run in groupby(frames):
        stop = start + len(list(run))
        if stop - start >= min_frames:
            if found and found[-1][0] == name:
                found[-1] = (name, found[-1][1], stop)
            else:
                found.append((name, start, stop))
        start = stop
    return found


def wanted_actions(clip_segments: Sequence[Any]) -> list[str]:
    """The ordered actions of a clip, equal neighbours merged (walking on is still one walk)."""
    return [name for name, _ in groupby(segment.action for segment in clip_segments)]


def order_score(wanted: Sequence[str], found: Sequence[str]) -> float:
    """Longest common subsequence over the longer list: 1.0 when the actions and their order are exactly right.

    Dividing by the longer list makes both a missing and an added action cost something.

    >>> order_score(["walk", "kick"], ["walk", "jump", "kick"])
    0.6666666666666666
    """
    if not wanted and not found:
        return 1.0
    previous = [0] * (len(found) + 1)
    for name in wanted:
        current = [0]
        for j, other in enumerate(found):
            current.append(previous[j] + 1 if name == other else max(current[j], previous[j + 1]))
        previous = current
    return previous[-1] / max(len(wanted), len(found))


def order_blind_score(wanted: Sequence[str], found: Sequence[str]) -> float:
    """F1 of two multisets: twice the actions in common over the actions of both.

    >>> order_blind_score(["walk", "kick"], ["kick", "walk"])
    1.0
    """
    if not wanted and not found:
        return 1.0
    return 2 * _common(wanted, found).total() / (len(wanted) + len(found))


def compare(wanted: Sequence[str], found: Sequence[str]) -> dict[str, float]:
    """All of `MEASURES` for one clip.

    >>> compare(["walk", "kick"], ["kick", "walk"])
    {'score': 0.5, 'exact': 0.0, 'order_blind': 1.0}
    """
    exact = float(list(wanted) == list(found))
    return {"score": order_score(wanted, found), "exact": exact, "order_blind": order_blind_score(wanted, found)}


@dataclass(frozen=True)
class ActionCount:
    """One action over many clips: how often it was asked for, found, and found where it was asked for."""

    asked: int
    found: int
    right: int


def count_actions(wanted: Iterable[Sequence[str]], found: Iterable[Sequence[str]]) -> dict[str, ActionCount]:
    """Every action by name, order apart: `right / asked` is its recall, `right / found` its precision.

    >>> count_actions([["walk", "kick"]], [["walk", "jump"]])["kick"]
    ActionCount(asked=1, found=0, right=0)
    """
    asked, seen, right = Counter[str](), Counter[str](), Counter[str]()
    for one, other in zip(wanted, found, strict=True):
        asked.update(one)
        seen.update(other)
        right.update(_common(one, other))
    return {name: ActionCount(asked[name], seen[name], right[name]) for name in sorted(asked | seen)}


def _common(wanted: Sequence[str], found: Sequence[str]) -> Counter[str]:
    return Counter(wanted) & Counter(found)
