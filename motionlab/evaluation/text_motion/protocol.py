"""The table of scores of a text-to-motion model, as papers have it, with the rows that papers leave out.

| score | question | better |
|---|---|---|
| R@k | is the motion of a caption among the k nearest of all? | higher |
| R@k in 32 | the same among 32, the published protocol | higher |
| MM distance | how far is a caption from its motion? | lower |
| FID | how different are the made and the real motions, as two clouds of points? | lower |
| diversity | how far are two motions from each other? | like real |
| multimodality | how far are two motions of ONE caption from each other? | not 0 |

Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022. Three columns belong together: the
motions that are scored, the real motions of the same captions, and the scored motions with captions that are not
theirs. A score of which the first column is like the third says nothing, and one where it is better than the second
says that the evaluator likes something else than real motion.

Captions that mean the same are no rivals: with N clips of far fewer meanings, R@k against all N would ask which of
several right motions happens to be the caption's own. So R@k is the share of captions of which fewer than k motions of
OTHER meaning are as near as their own motion.

FID depends on the number of clips. With fewer clips than dimensions it is mostly bias, so it is only compared with that
of as many real motions against the same reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.distribution import (
    diversity,
    frechet_interval,
    matching_distance,
    multimodality,
    r_precision,
)
from motionlab.evaluation.intervals import Interval
from motionlab.evaluation.text_motion.evaluator import Embeds
from motionlab.evaluation.text_motion.meaning import joined
from motionlab.motion.motion import Motion
from motionlab.text.cache import TextCache

Motions = Sequence[Motion | Tensor | np.ndarray]
BATCH = 32
KS = (1, 2, 3)


@dataclass(frozen=True)
class Score:
    """One score of the motions, of the real ones, and of the motions with wrong captions; None where it has none."""

    motions: Interval
    real: Interval | None = None
    wrong_captions: Interval | None = None


@dataclass(frozen=True)
class TextMotionScores:
    """All scores by name, on embeddings as they are (`raw`) and divided by their lengths (`unit`).

    Args:
        clips, meanings: how many, and how many groups that mean the same.
    """

    raw: Mapping[str, Score]
    unit: Mapping[str, Score]
    clips: int
    meanings: int

    def table(self, unit: bool = True) -> str:
        """The scores as lines of text."""
        lines = [f"{'':<14} {'motions':>24} {'real':>24} {'wrong captions':>24}"]
        for name, score in (self.unit if unit else self.raw).items():
            cells = [_told(one) for one in (score.motions, score.real, score.wrong_captions)]
            lines.append(f"{name:<14} " + " ".join(f"{cell:>24}" for cell in cells))
        return "\n".join(lines)


def score_texts_and_motions(
    evaluator: Embeds,
    motions: Motions,
    captions: Sequence[str],
    real: Motions,
    *,
    texts: TextCache | None = None,
    meanings: Sequence[int] | np.ndarray | None = None,
    takes: Sequence[Any] | None = None,
    reference: Motions | Tensor | None = None,
    repeats: Sequence[Motions] = (),
    seed: int = 0,
) -> TextMotionScores:
    """Score motions that were made from captions.

    Args:
        evaluator: ours or a published one.
        motions, captions, real: N of each; row i of each belongs to clip i.
        texts: features for `captions`, which our evaluator reads.
        meanings: a group for each clip (`meaning.meanings`); None: captions that are equal letter for letter.
        takes: the recording of each clip, if several are from one: intervals are over takes then.
        reference: real motions that FID compares with, best the training clips, or their embeddings `[M, D]`. None:
            `real`, and then there is no FID of real motion to compare with.
        repeats: for multimodality, two or more motions of each of some captions, equally many of each.
        seed: of draws and of the wrong captions.

    Raises:
        InputError: other than N of each, fewer than two clips, or one meaning only.
    """
    count = len(captions)
    if not count == len(motions) == len(real) or count < 2:
        raise InputError(
            "motions to score",
            found=f"{len(motions)} motions, {count} captions and {len(real)} real motions",
            expected="two or more, one of each for every clip",
            fix="Give the motion that was made from each caption, and the real one.",
        )
    groups = joined([[caption] for caption in captions]) if meanings is None else np.asarray(meanings)
    others = torch.from_numpy(other_meanings(groups, seed))
    text = evaluator.embed_text(captions, texts)
    if reference is not None and not (isinstance(reference, Tensor) and reference.ndim == 2):
        reference = evaluator.embed_motion(list(reference))
    sets = _Embedded(
        text=text,
        wrong=text[others],
        motions=evaluator.embed_motion(motions),
        real=evaluator.embed_motion(real),
        reference=reference,
        repeats=_repeated(evaluator, repeats),
    )
    raw, unit = (_scores(sets, groups, takes, unit=way, seed=seed) for way in (False, True))
    return TextMotionScores(raw, unit, count, len(set(groups.tolist())))


def other_meanings(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """For each clip the number of one that means something else, `[N]`.

    Raises:
        InputError: all clips mean the same.

    >>> other_meanings(np.array([0, 0, 1])).tolist()[:2]
    [2, 2]
    """
    if len(set(groups.tolist())) < 2:
        raise InputError("captions", found="one meaning", expected="two or more", fix="Score clips of several actions.")
    random = np.random.default_rng(seed)
    return np.array([random.choice(np.flatnonzero(groups != group)) for group in groups])


@dataclass(frozen=True)
class _Embedded:
    """Embeddings `[N, D]` of the captions, of captions that mean something else, and of the motions; those of the
    reference `[M, D]`, and of the repeats `[C, S, D]`."""

    text: Tensor
    wrong: Tensor
    motions: Tensor
    real: Tensor
    reference: Tensor | None
    repeats: Tensor | None


def _scores(
    sets: _Embedded, groups: np.ndarray, takes: Sequence[Any] | None, *, unit: bool, seed: int
) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    columns = ((sets.text, sets.motions), (sets.text, sets.real), (sets.wrong, sets.motions))
    for batch in (None, BATCH):
        if batch is not None and len(sets.text) < batch:
            continue
        found = [
            r_precision(
                captions, motions, KS, batch=batch, captions=groups.tolist(), groups=takes, unit=unit, seed=seed
            )
            for captions, motions in columns
        ]
        for k in KS:
            scores[f"R@{k}" + ("" if batch is None else f" in {batch}")] = Score(*(one[k] for one in found))
    scores["MM distance"] = Score(
        *(matching_distance(captions, motions, groups=takes, unit=unit) for captions, motions in columns)
    )
    far = sets.reference
    scores["FID"] = Score(
        frechet_interval(sets.motions, sets.real if far is None else far, unit=unit),
        None if far is None else frechet_interval(sets.real, far, unit=unit),
    )
    scores["diversity"] = Score(
        *(diversity(some, groups=takes, unit=unit, seed=seed) for some in (sets.motions, sets.real))
    )
    if sets.repeats is not None:
        scores["multimodality"] = Score(multimodality(sets.repeats, unit=unit, seed=seed))
    return scores


def _repeated(evaluator: Embeds, repeats: Sequence[Motions]) -> Tensor | None:
    """`[C, S, D]` of S motions of each of C captions."""
    if not len(repeats):
        return None
    sizes = {len(some) for some in repeats}
    if len(sizes) != 1 or min(sizes) < 2:
        raise InputError(
            "repeats", found=f"{sorted(sizes)} motions of a caption", expected="equally many, two or more",
            fix="Make as many motions of each caption.",
        )  # fmt: skip
    flat = evaluator.embed_motion([motion for some in repeats for motion in some])
    return flat.view(len(repeats), -1, flat.shape[1])


def _told(score: Interval | None) -> str:
    return "" if score is None else f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
