"""Measures of motions that ask no judge: the place where `motionlab evaluate` calls them.

The action scores say whether the right things happen in the right order. They do not say whether a motion looks real.
Each measure of that is a function of the motions of one split, and a section of `metrics.json` of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from motionlab.data.splits import Splits
from motionlab.evaluation.diversity import mean_distance
from motionlab.jobs.run_folder import Run

_MOST = 32  # motions whose pairs are compared


@dataclass(frozen=True)
class SplitMotions:
    """The motions of one test split: for the same captions, clip by clip.

    Fields:
        clips: their numbers in the split.
        captions: what was asked for.
        kinds: "real", "reconstructed" and "generated" to features `[T, 272]` in physical units.
    """

    clips: Sequence[int]
    captions: Sequence[str]
    kinds: Mapping[str, Sequence[Tensor]]


def measure_quality(run: Run, splits: Splits, made: Mapping[str, SplitMotions]) -> dict[str, dict[str, Any]]:
    """Everything that is measured without a judge: section of `metrics.json` -> test split -> numbers.

    Args:
        run: whose motions these are; its text features are at hand as `run.text`.
        splits: `splits.train` is there to learn from or to compare with.
        made: test split -> its motions.
    """
    return {"diversity": {name: _diversity(some) for name, some in made.items()}}


def _diversity(some: SplitMotions) -> dict[str, float]:
    """Mean distance of the poses of two motions in mm, of each kind; empty with one motion."""
    if len(some.captions) < 2:
        return {}
    return {kind: mean_distance(motions[:_MOST]) for kind, motions in some.kinds.items()}
