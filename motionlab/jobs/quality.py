"""Measures of motions that ask no judge: the place where `motionlab evaluate` calls them.

The action scores say whether the right things happen in the right order. They do not say whether a motion looks real.
Each measure of that is a function of the motions of one split, and a section of `metrics.json` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from motionlab.data.leaks import takes_in
from motionlab.data.splits import Splits
from motionlab.evaluation.diversity import mean_distance
from motionlab.evaluation.intervals import Interval
from motionlab.evaluation.physics import physics_of
from motionlab.evaluation.text_motion.evaluator import TextMotionEvaluator
from motionlab.evaluation.text_motion.meaning import meanings
from motionlab.evaluation.text_motion.protocol import Score, score_texts_and_motions
from motionlab.evaluation.text_motion.train import EvaluatorSettings, train_evaluator
from motionlab.jobs.generate import generate_motions
from motionlab.jobs.run_folder import Run
from motionlab.motion.features import decode_positions

_MOST = 32  # motions whose pairs are compared
_REFERENCE = 512  # training motions that FID compares with
_SAME_CAPTIONS, _SAME_MOTIONS = 8, 4  # captions of a split with several motions each, and how many: multimodality
EVALUATOR = "evaluator.safetensors"
Numbers = tuple[float, float, float, int]  # value, low and high end of its interval, and how many it rests on


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
    return {
        "diversity": {name: _diversity(some) for name, some in made.items()},
        "physics": {name: _physics(some, _takes(splits, name, some)) for name, some in made.items()},
        "text_motion": _text_motion(run, splits, made),
    }


def _diversity(some: SplitMotions) -> dict[str, float]:
    """Mean distance of the poses of two motions in mm, of each kind; empty with one motion."""
    if len(some.captions) < 2:
        return {}
    return {kind: mean_distance(motions[:_MOST]) for kind, motions in some.kinds.items()}


def _takes(splits: Splits, name: str, some: SplitMotions) -> list[str]:
    """The recordings that each clip of a split was made from, one name a clip."""
    return [" + ".join(sorted(takes_in(splits.tests[name], i))) for i in some.clips]


def _physics(some: SplitMotions, takes: Sequence[str]) -> dict[str, dict[str, Numbers]]:
    """Kind of motion -> number of `evaluation/physics.py` -> its mean with its interval over clips.

    Clips that show the same recordings are no independent ones, so real motion and its reconstruction have an interval
    over takes, as their action scores do. A reconstruction has a path and a heading to drift from: the real ones.
    """
    joints = {kind: [decode_positions(motion) for motion in motions] for kind, motions in some.kinds.items()}
    found = {}
    for kind, motions in some.kinds.items():
        groups = None if kind == "generated" else takes
        real = joints["real"] if kind == "reconstructed" else None
        means = physics_of(joints[kind], groups=groups, features=motions, reference=real)
        found[kind] = {name: numbers(one) for name, one in means.items()}
    return found


def _text_motion(run: Run, splits: Splits, made: Mapping[str, SplitMotions]) -> dict[str, Any]:
    """Split -> "unit" or "raw" -> score -> column -> numbers, by an evaluator that learned from the training clips."""
    clips = min(run.config.evaluation.evaluator_clips, len(splits.train))
    groups = {name: meanings(splits.tests[name], some.clips) for name, some in made.items()}
    scored = {name: some for name, some in made.items() if len(set(groups[name].tolist())) > 1}
    if clips < 2 or not scored:
        return {}
    settings = EvaluatorSettings(clips=clips, epochs=run.config.evaluation.evaluator_epochs)
    evaluator = train_evaluator(splits, run.text, settings, seed=run.config.seed)
    evaluator.save(run.folder / EVALUATOR)
    reference = evaluator.embed_motion([splits.train.features(i) for i in range(min(_REFERENCE, len(splits.train)))])
    return {
        name: _scores(evaluator, run, splits, name, some, groups[name].tolist(), reference)
        for name, some in scored.items()
    }


def _scores(
    evaluator: TextMotionEvaluator, run: Run, splits: Splits, name: str, some: SplitMotions, groups: list[int],
    reference: Tensor,
) -> dict[str, dict[str, dict[str, Numbers]]]:  # fmt: skip
    found = score_texts_and_motions(
        evaluator,
        some.kinds["generated"],
        some.captions,
        some.kinds["real"],
        texts=run.text,
        meanings=groups,
        takes=_takes(splits, name, some),
        reference=reference,
        repeats=_repeats(run, some.captions),
        seed=run.config.seed,
    )
    return {
        way: {score: _columns(one) for score, one in scores.items()}
        for way, scores in (("unit", found.unit), ("raw", found.raw))
    }


def _repeats(run: Run, captions: Sequence[str]) -> list[list[Tensor]]:
    """Several motions of each of some captions; every one is drawn with a seed of its own."""
    chosen = list(dict.fromkeys(captions))[:_SAME_CAPTIONS]
    asked = [caption for caption in chosen for _ in range(_SAME_MOTIONS)]
    made = [one.motion.features for one in generate_motions(run, asked, run.config.sampling, compare=False)[0]]
    return [made[at : at + _SAME_MOTIONS] for at in range(0, len(made), _SAME_MOTIONS)]


def _columns(score: Score) -> dict[str, Numbers]:
    columns = {"generated": score.motions, "real": score.real, "wrong captions": score.wrong_captions}
    return {name: numbers(one) for name, one in columns.items() if one is not None}


def numbers(interval: Interval) -> Numbers:
    """For a file: ends that are not known, as with one clip, are the value itself."""
    low, high = (end if math.isfinite(end) else interval.value for end in (interval.low, interval.high))
    return (interval.value, low, high, interval.n)
