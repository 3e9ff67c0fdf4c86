"""Which takes of the bundled actions train, which validate, and which are kept for the tests.

A take is one performance: one bundled sample. A test says something about new motion only if no clip of training was
made from its takes, neither mirrored nor at another speed. So every take belongs to one side before anything is
composed:

    one take          training; there is nothing to test new motion with, so its tests are reported apart
    two takes         one to train with, one to test with
    three or more     at least one to validate with, at least one to test with, the rest to train with

Actions without a take of their own for validation are validated with takes of training: that chooses the best weights,
and tests nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motionlab.data.composed.samples import Sample
from motionlab.data.takes import Entry, take_of, tied_takes

# Shares of the takes of an action with many; each is at least one take.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Takes:
    """For each action as it was recorded, its takes on each side; an action without one is not in the dictionary."""

    train: dict[str, list[Sample]]
    validation: dict[str, list[Sample]]
    test: dict[str, list[Sample]]

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the takes on each side."""
        sides = {"train": self.train, "validation": self.validation, "test": self.test}
        return {side: sorted(take.name for some in takes.values() for take in some) for side, takes in sides.items()}


def divide_takes(samples: Sequence[Sample], seed: int) -> Takes:
    """Put every take on one side; copies and mirrored twins (by name) of a take stay with it.

    Args:
        seed: another one puts other takes to the tests.
    """
    tied = tied_takes([Entry(one.name, take_of(one.name), one.motion.features.numpy().tobytes()) for one in samples])
    by_action: dict[str, dict[str, list[Sample]]] = {}
    for sample, take in zip(samples, tied, strict=True):
        by_action.setdefault(sample.action, {}).setdefault(take, []).append(sample)
    sides: tuple[dict[str, list[Sample]], ...] = ({}, {}, {})  # training, validation, tests
    for number, action in enumerate(sorted(by_action)):
        takes = list(by_action[action].values())
        tests = max(1, round(TEST_SHARE * len(takes))) if len(takes) > 1 else 0
        validates = max(1, round(VALIDATION_SHARE * len(takes))) if len(takes) > 2 else 0
        shuffled = [takes[int(place)] for place in np.random.default_rng((seed, number)).permutation(len(takes))]
        cuts = (shuffled[tests + validates :], shuffled[tests : tests + validates], shuffled[:tests])
        for side, some in zip(sides, cuts, strict=True):
            if some:
                side[action] = [sample for take in some for sample in take]
    return Takes(*sides)
