"""Which pairs of actions training never sees next to each other, so that combining can be tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from motionlab.data.composed.mirrored_words import side

SHARE = 0.15  # of all ordered pairs with an action that has one take
_CHOICES = 32  # of pairs to hold out, of which the most even one is taken

Labels = tuple[str, ...]
Pair = tuple[str, str]
Combination = TypeVar("Combination", Labels, Pair)


def hold_out_pairs(labels: Sequence[str], several: Sequence[str], seed: int) -> set[Pair]:
    """Ordered pairs of labels that training must not see, closed under mirroring, each label about as often.

    Of the actions with several takes there are as many pairs as labels, which is about every sixth of theirs.

    Args:
        labels: that a finished clip can have.
        several: those of them with several takes.
    """
    every = sorted({*labels, *(side(label, True) for label in labels)})
    pairs: list[Pair] = [(first, second) for first in every for second in every if first != second]
    generator = np.random.default_rng((seed, len(every)))
    among, others = only(pairs, set(several)), beyond(pairs, set(several))
    return {
        *_balanced(among, len(several), generator),
        *_balanced(others, round(SHARE * len(others)), generator),
    }


def neighbours(labels: Sequence[str]) -> list[Pair]:
    """
    >>> neighbours(("walk", "kick", "jump"))
    [('walk', 'kick'), ('kick', 'jump')]
    """
    return list(zip(labels, labels[1:], strict=False))


def only(combinations: Sequence[Combination], labels: set[str]) -> list[Combination]:
    """The combinations that have no other label."""
    return [one for one in combinations if labels.issuperset(one)]


def beyond(combinations: Sequence[Combination], labels: set[str]) -> list[Combination]:
    """The combinations that have another label."""
    return [one for one in combinations if not labels.issuperset(one)]


def _balanced(pairs: Sequence[Pair], count: int, generator: np.random.Generator) -> set[Pair]:
    """This many of the pairs, with their mirror images; of many choices the one with labels about equally often."""

    def unequal(chosen: set[Pair]) -> int:
        often = Counter(label for pair in chosen for label in pair)
        return max(often.values()) - min(often[label] for label in labels)

    labels = sorted({label for pair in pairs for label in pair})
    if not pairs:
        return set()
    return min((_choose(pairs, max(1, count), generator) for _ in range(_CHOICES)), key=unequal)


def _choose(pairs: Sequence[Pair], count: int, generator: np.random.Generator) -> set[Pair]:
    """This many of the pairs, with their mirror images: first those whose labels were chosen least often."""
    chosen: set[Pair] = set()
    often: Counter[str] = Counter()
    left = [pairs[int(number)] for number in generator.permutation(len(pairs))]
    while left and len(chosen) < count:
        first, second = min(
            left, key=lambda pair: (max(often[label] for label in pair), often[pair[0]] + often[pair[1]])
        )
        for pair in {(first, second), (side(first, True), side(second, True))}:
            chosen.add(pair)
            often.update(pair)
        left = [pair for pair in left if pair not in chosen]
    return chosen
