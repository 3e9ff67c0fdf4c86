"""The faults of published evaluation protocols, each shown on given embeddings or motions in a few lines.

None of them is a mistake in a formula. Each is a choice that moves the score by more than the methods differ, and that
a table of results seldom names. A function here returns the numbers that show it, for a lesson to print.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.corruption import CORRUPTIONS, corrupt, heading_drift
from motionlab.evaluation.distribution import diversity, frechet_distance, matching_distance, r_precision
from motionlab.evaluation.embeddings import Embeddings, as_embeddings, as_pairs, group_numbers
from motionlab.evaluation.intervals import Interval
from motionlab.evaluation.reconstruction import mpjpe
from motionlab.motion.features import crop, decode_positions


class BatchDependence(NamedTuple):
    """R-precision of one set of embeddings under different protocols.

    Fields:
        by_size: batch size -> R@k, duplicates as rivals; the last one is the whole set.
        lowest, highest: R@k in batches of the smallest size, of the worst and the best of the shuffles.
        duplicates_right: batch size -> R@k when motions of an equal caption are no rivals; empty without captions.
    """

    by_size: dict[int, float]
    lowest: float
    highest: float
    duplicates_right: dict[int, float]


def batch_dependence(
    text: Embeddings,
    motion: Embeddings,
    captions: Sequence[Any] | None = None,
    *,
    k: int = 1,
    sizes: Sequence[int] = (32, 128),
    shuffles: int = 20,
) -> BatchDependence:
    """R@k in batches is a property of the batches: smaller ones have fewer rivals, and each shuffle has others.

    A test set with n motions of one caption puts several of them into a batch now and then. Only one counts as right,
    though all are, so a perfect evaluator does not reach 100 %.
    """
    n = len(as_embeddings(text, "text"))
    each = [r_precision(text, motion, (k,), batch=sizes[0], draws=1, seed=seed)[k].value for seed in range(shuffles)]

    def scores(names: Sequence[Any] | None) -> dict[int, float]:
        found = {
            size: r_precision(text, motion, (k,), batch=size, draws=shuffles, captions=names)[k].value for size in sizes
        }
        return found | {n: r_precision(text, motion, (k,), captions=names)[k].value}

    return BatchDependence(scores(None), min(each), max(each), {} if captions is None else scores(captions))


def frechet_bias(n: int, dimensions: int = 512, seed: int = 0) -> float:
    """FID between two samples of n vectors of one and the same N(0, I): all of it is bias, the true value is 0.

    >>> [round(frechet_bias(n, dimensions=16), 1) for n in (16, 64, 1024)]
    [11.5, 3.0, 0.1]
    """
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, dimensions, generator=random) for _ in range(2))
    return frechet_distance(a, b)


class FrechetCurve(NamedTuple):
    """FID by the number of clips, and what is left when the number grows without end."""

    by_number: dict[int, float]
    limit: float


def frechet_curve(a: Embeddings, b: Embeddings, numbers: Sequence[int] = (), seed: int = 0) -> FrechetCurve:
    """FID of the first N clips for several N, and its value for N without end.

    The bias is about proportional to 1 / N, so a line through FID over 1 / N ends at the unbiased value (Chong and
    Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them", CVPR 2020). It needs N well above
    the dimension: below, the bias is no line.

    Args:
        numbers: at least two; by default five between half of the clips and all of them.
    """
    first, second = as_embeddings(a, "a", least=4), as_embeddings(b, "b", least=4)
    most = min(len(first), len(second))
    chosen = [int(x) for x in (numbers or np.linspace(most // 2, most, 5).round())]
    if len(set(chosen)) < 2 or min(chosen) < 2 or max(chosen) > most:
        raise InputError("numbers", found=chosen, expected=f"two or more of 2 to {most}", fix="Choose others.")
    random = np.random.default_rng(seed)
    orders = [torch.from_numpy(random.permutation(len(table))) for table in (first, second)]
    found = {n: frechet_distance(first[orders[0][:n]], second[orders[1][:n]]) for n in chosen}
    _, limit = np.polyfit([1 / n for n in found], list(found.values()), 1)
    return FrechetCurve(found, float(limit))


class BeatsReal(NamedTuple):
    """Scores of real motions, and of motions that are only averages of them."""

    r_precision: tuple[Interval, Interval]
    matching: tuple[Interval, Interval]
    diversity: tuple[Interval, Interval]
    frechet: float


def averaged_beats_real(
    text: Embeddings, motion: Embeddings, classes: Sequence[Any], *, toward_mean: float = 0.8, k: int = 3
) -> BeatsReal:
    """Pull every motion toward the mean of its class, and it fits its caption better than the real one.

    A caption tells what is done and not how. The motion nearest to it is therefore the most usual one, and a generator
    that regresses to the mean has a higher R-precision and a lower matching distance than recorded people. A score
    above that of real motion is no success. Diversity and FID see it.

    Args:
        text, motion: `[N, D]`, row i of one for row i of the other.
        classes: what each caption says, such as its actions. R-precision takes equal ones as right.
        toward_mean: 0 leaves the real motion, 1 leaves the mean alone.
    """
    first, real = as_pairs(text, motion, "text and motion")
    numbers = torch.from_numpy(group_numbers(classes, len(real), "classes"))
    count = int(numbers.max()) + 1
    means = real.new_zeros(count, real.shape[1]).index_add_(0, numbers, real) / torch.bincount(numbers)[:, None]
    averaged = torch.lerp(real, means[numbers], toward_mean)
    both = (real, averaged)

    def pair(score: Callable[[Tensor], Interval]) -> tuple[Interval, Interval]:
        return score(both[0]), score(both[1])

    return BeatsReal(
        pair(lambda table: r_precision(first, table, (k,), captions=numbers.tolist())[k]),
        pair(lambda table: matching_distance(first, table)),
        pair(lambda table: diversity(table)),
        frechet_distance(real, averaged),
    )


class Ranking(NamedTuple):
    """Matching distance of several methods, and the order that it puts them in (best first)."""

    raw: dict[str, float]
    unit: dict[str, float]
    order_raw: list[str]
    order_unit: list[str]


def unit_length_ranking(text: Embeddings, methods: Mapping[str, Embeddings]) -> Ranking:
    """Which of several methods fits its captions best, by vectors as they are and by vectors of length 1.

    Raw distances punish a vector of the right direction and another length. A comparison across papers must say which
    of the two it is; the numbers of one cannot be set against those of the other.

    Args:
        methods: name -> embeddings `[N, D]` of the motions it made for the same captions.
    """
    raw, unit = (
        {name: matching_distance(text, motion, unit=flag).value for name, motion in methods.items()}
        for flag in (False, True)
    )
    return Ranking(raw, unit, sorted(raw, key=lambda name: raw[name]), sorted(unit, key=lambda name: unit[name]))


class Capped(NamedTuple):
    """The part of the motions that a cap on the number of codes cuts off.

    Fields:
        share_cut: clips that the cap shortens.
        frames_lost: share of all frames that are never generated.
        motions: the clips as a capped sampler ends them.
    """

    share_cut: float
    frames_lost: float
    motions: list[Tensor]


def capped_sampler(motions: Sequence[Tensor], codes: int = 50, frames_per_code: int = 2) -> Capped:
    """Real motions cut where a sampler that stops after so many codes ends.

    A published evaluation stops at 50 codes of 2 frames each, 3.3 seconds, and compares with references of up to 200
    frames. Embed `motions` to see what the cap alone costs a perfect model.

    Args:
        motions: features `[T, 272]`.
    """
    if not motions or codes < 1 or frames_per_code < 1:
        found = f"{len(motions)} motions, {codes} codes of {frames_per_code} frames"
        raise InputError("capped sampler", found=found, expected="one or more of each", fix="Give motions.")
    most = codes * frames_per_code
    cut = [crop(motion, 0, min(len(motion), most)) for motion in motions]
    lengths = [len(motion) for motion in motions]
    lost = sum(lengths) - sum(map(len, cut))
    return Capped(sum(n > most for n in lengths) / len(lengths), lost / sum(lengths), cut)


class Drifted(NamedTuple):
    """Position errors in mm of a motion that differs from the real one in nothing but a slow turn.

    Fields:
        degrees: degrees a second.
        pelvis: with the pelvis put in place, as published ("MPJPE").
        heading: with the heading put in place, too.
    """

    degrees: float
    pelvis: float
    heading: float


def mpjpe_under_drift(
    motions: Sequence[Tensor], degrees: Sequence[float] = (0, 2, 5, 10, 20), fps: float = 30.0
) -> list[Drifted]:
    """The published position error counts a turn of the whole body as an error of every joint, more in every frame.

    Two reconstructions with the same poses then differ by how long the clips are, and by luck in the sum of the turns.

    Args:
        motions: features `[T, 272]`.
    """
    found = []
    for speed in degrees:
        errors = []
        for motion in motions:
            real, turned = decode_positions(motion), decode_positions(heading_drift(motion, speed, fps))
            errors.append([float(mpjpe(turned, real, align=align)) for align in ("pelvis", "heading")])
        found.append(Drifted(float(speed), *(float(x) for x in np.mean(errors, 0))))
    return found


class Reaction(NamedTuple):
    """A score on real motions, on spoiled ones, and the change."""

    real: float
    spoiled: float
    change: float


def reactions(
    score: Callable[[list[Tensor]], float], motions: Sequence[Tensor], names: Sequence[str] = tuple(CORRUPTIONS)
) -> dict[str, Reaction]:
    """How a score reacts to each named fault of `corruption.py`. One that noise does not move does not see quality.

    Args:
        score: a list of features `[T, 272]` to a number: a judge's order score, FID against the real ones, jerk.
        motions: real ones; each is the `other` of the one before it.
    """
    if len(motions) < 2:
        raise InputError("motions", found=len(motions), expected="two or more", fix="Pass some real motions.")
    real = score(list(motions))
    found = {}
    for name in names:
        others = [*motions[1:], motions[0]]
        value = score([corrupt(name, x, y, seed) for seed, (x, y) in enumerate(zip(motions, others, strict=True))])
        found[name] = Reaction(real, value, value - real)
    return found
