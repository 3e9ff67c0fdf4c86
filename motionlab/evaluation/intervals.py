"""How sure a score is, and when two scores differ: the one rule for every table.

Two things move a score. Another seed trains another model, and other clips ask other questions. With the scores
x[s, c] of S seeds on C clips, the variance of their mean has a part of each and a rest,

    Var = V_seed / S + V_clip / C + V_rest / (S C)

The mean over the clips of one seed varies by V_seed + V_rest / C, that over the seeds of one clip by
V_clip + V_rest / S, so both can be read off the table, and the rest is counted once (a crossed design
of random effects, as in Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007).

The rule: **a difference counts only if its 95 % interval, over seeds and clips, does not hold 0.** With few seeds the
interval is that of Student's t, which is wide on purpose.

Where nothing but a formula that is not a mean is at hand (FID, R-precision), `bootstrap` draws clips with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from motionlab.errors import InputError

# 97.5 % points of Student's t for 1, 2, 3 ... degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
_NORMAL = 1.96


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Fields:
        n: how many independent things it rests on: clips, or seeds where several were trained.
    """

    value: float
    low: float
    high: float
    n: int

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def percent(self) -> str:
        """
        >>> Interval(0.76, 0.7, 0.813, 5).percent()
        '76 % (70 to 81)'
        """
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"


def wilson(right: int, n: int) -> Interval:
    """The share `right / n` with Wilson's interval (JASA 1927), which holds up near 0 and 1 and for few trials.

    >>> wilson(62, 64).percent()
    '97 % (89 to 99)'
    """
    if n < 1 or not 0 <= right <= n:
        raise InputError("share", found=f"{right} of {n}", expected="0 <= right <= n, n >= 1", fix="Count again.")
    share, z2 = right / n, _NORMAL**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), n)


def bootstrap(
    rows: Sequence[Any] | np.ndarray,
    statistic: Callable[[np.ndarray], float] = lambda rows: float(np.mean(rows)),
    *,
    groups: Sequence[Any] | np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """The statistic of the rows; its interval from drawing rows with replacement (percentiles; Efron 1979).

    Args:
        rows: `[N, ...]`, one row per clip.
        groups: what each row belongs to, such as its take. Whole groups are drawn then: clips that were cut from
            one take are no independent clips.

    Raises:
        InputError: no row, or not one group for each row.
    """
    table = np.asarray(rows)
    if len(table) == 0 or (groups is not None and len(groups) != len(table)):
        found = f"{len(table)} rows" + ("" if groups is None else f", groups of {len(groups)}")
        raise InputError("bootstrap", found=found, expected="at least one, and a group for each", fix="Give clips.")
    random = np.random.default_rng(seed)
    names = np.arange(len(table)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    members = [np.flatnonzero(names == name) for name in range(int(names.max()) + 1)]
    values = np.empty(draws)
    for draw in range(draws):
        chosen = random.integers(len(members), size=len(members))
        values[draw] = statistic(table[np.concatenate([members[number] for number in chosen])])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(statistic(table)), float(low), float(high), len(members))


def bootstrap_mean(
    rows: Sequence[float] | np.ndarray,
    *,
    groups: Sequence[Any] | np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """`bootstrap` of a mean, the same numbers at once: what each group sums up to is enough to know.

    Rows that are all 0 or all 1 would give an interval without width, as if no other clip could do better or worse.
    They get Wilson's, for as many trials as there are groups.
    """
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or (groups is not None and len(groups) != len(values)):
        found = f"shape {values.shape}" + ("" if groups is None else f", groups of {len(groups)}")
        raise InputError("bootstrap", found=found, expected="at least one, and a group for each", fix="Give clips.")
    names = np.arange(len(values)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(names, weights=values), np.bincount(names)  # [G] each
    if values[0] in (0.0, 1.0) and (values == values[0]).all():
        return wilson(len(sums) * int(values[0]), len(sums))
    chosen = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))  # [draws, G]
    means = sums[chosen].sum(1) / sizes[chosen].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high), len(sums))


def over_seeds(scores: Sequence[Sequence[float]] | np.ndarray) -> Interval:
    """The mean of scores `[seeds, clips]` with the interval over both.

    Raises:
        InputError: not a rectangle with at least one seed and one clip, or a score that is no number.

    >>> over_seeds([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]]).n
    2
    """
    table = _table(scores)
    by_seed, by_clip = _variances(table)
    return _interval(float(table.mean()), by_seed, by_clip, *table.shape)


@dataclass(frozen=True)
class Difference(Interval):
    """`a - b` with its interval over seeds and clips; `n` is the smaller number of seeds.

    Fields:
        clips: how many; 0 when the interval is over the seeds alone.
    """

    clips: int

    @property
    def counts(self) -> bool:
        """Whether it is larger than seeds and clips explain."""
        return not self.low <= 0 <= self.high

    def __str__(self) -> str:
        """
        >>> print(Difference(0.05, -0.02, 0.12, 5, 64))
        +0.050 (-0.020 to +0.120; 5 seeds, 64 clips): no verdict
        """
        told = "counts" if self.counts else "no verdict"
        over = f"{self.n} seeds" + (f", {self.clips} clips" if self.clips else "")
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f}; {over}): {told}"


def differs(a: Sequence[Sequence[float]] | np.ndarray, b: Sequence[Sequence[float]] | np.ndarray) -> Difference:
    """The difference of two ways, scored on the same clips, `[seeds, clips]` each; seeds need not be as many.

    The clips are compared pair by pair, so a clip that is hard for both does not widen the interval.

    Raises:
        InputError: other clips, or fewer than two seeds of either: one seed says nothing about seeds.
    """
    first, second = _table(a), _table(b)
    if first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise InputError(
            "difference",
            found=f"tables {first.shape} and {second.shape}",
            expected="two or more seeds of each, on the same clips",
            fix="Train further seeds, and score both on the same clips.",
        )
    by_seed = sum(_variances(table)[0] for table in (first, second))
    pairs = first.mean(0) - second.mean(0)  # [C]
    rest = sum(_rest(table) / table.size for table in (first, second))  # is in `by_seed` already
    by_clip = max(float(pairs.var(ddof=1)) / len(pairs) - rest, 0.0) if len(pairs) > 1 else 0.0
    whole = _interval(float(pairs.mean()), by_seed, by_clip, min(len(first), len(second)), len(pairs))
    return Difference(whole.value, whole.low, whole.high, whole.n, len(pairs))


def means_differ(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, clips: int = 0) -> Difference:
    """`differs` where of each seed nothing but the mean over the clips was kept.

    The clips' part can still be bounded for a score from 0 to 1: with mean m its variance is at most m (1 - m) (Bhatia
    and Davis, American Mathematical Monthly 2000). The bounds of `a` and `b` are added, as if a clip that is hard for
    one were not hard for the other. So the interval is too wide rather than too narrow.

    Args:
        a, b: one mean a seed, over the same clips.
        clips: how many. 0: the numbers are no scores from 0 to 1, and the interval is over the seeds alone.

    Raises:
        InputError: fewer than two seeds of either, or with `clips` a mean outside of 0 to 1.

    >>> print(means_differ([0.60, 0.62, 0.61], [0.21, 0.20, 0.22], clips=64))
    +0.400 (+0.240 to +0.560; 3 seeds, 64 clips): counts
    """
    first, second = (_table(np.asarray(means, dtype=np.float64)[:, None]) for means in (a, b))  # [S, 1] each
    if clips and not all(0 <= mean <= 1 for mean in (*first.flat, *second.flat)):
        raise InputError("means", found=f"{a} and {b}", expected="scores from 0 to 1", fix="Leave `clips` out.")
    seeds = differs(first, second)
    bounds = (float(table.mean() * (1 - table.mean())) / clips for table in (first, second)) if clips else ()
    half = math.hypot(seeds.high - seeds.value, _NORMAL * math.sqrt(sum(bounds)))
    return Difference(seeds.value, seeds.value - half, seeds.value + half, seeds.n, clips)


def _variances(table: np.ndarray) -> tuple[float, float]:
    """Variance of the mean that is due to the seeds (with the rest), and to the clips (without)."""
    seeds, clips = table.shape
    by_seed = float(table.mean(1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    by_clip = float(table.mean(0).var(ddof=1)) / clips if clips > 1 else 0.0
    return by_seed, max(by_clip - _rest(table) / table.size, 0.0)


def _rest(table: np.ndarray) -> float:
    """V_rest: what neither the seed nor the clip explains."""
    seeds, clips = table.shape
    if seeds < 2 or clips < 2:
        return 0.0
    left = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    return float((left**2).sum() / ((seeds - 1) * (clips - 1)))


def _interval(value: float, by_seed: float, by_clip: float, seeds: int, clips: int) -> Interval:
    """Student's t with Satterthwaite's degrees of freedom for the sum of the two variances."""
    variance = by_seed + by_clip
    if variance == 0:
        return Interval(value, value, value, seeds)
    degrees = int(variance**2 / (by_seed**2 / max(seeds - 1, 1) + by_clip**2 / max(clips - 1, 1)))
    t = _T[max(degrees, 1) - 1] if degrees <= len(_T) else _NORMAL + 2.4 / degrees
    half = t * math.sqrt(variance)
    return Interval(value, value - half, value + half, seeds)


def _table(scores: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    try:
        table = np.asarray(scores, dtype=np.float64)
        good = table.ndim == 2 and table.size > 0 and bool(np.isfinite(table).all())
        found = f"shape {table.shape}" + ("" if table.ndim != 2 or np.isfinite(table).all() else ", not all finite")
    except ValueError:
        good, found = False, "rows of different lengths"
    if not good:
        raise InputError("scores", found=found, expected="[seeds, clips] of numbers", fix="Score the same clips.")
    return table
