"""Frechet distance of two sets of embeddings (FID), in a fraction of the usual time, and its interval.

    FID = |m_a - m_b|^2 + tr A + tr B - 2 tr (A B)^(1/2)

(Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017) with means m and covariances A, B. Usually the
square root of the product is computed as a matrix (`scipy.linalg.sqrtm`, a Schur decomposition of a matrix that is not
symmetric), of which only the trace is used. With A = L L^T the product A B has the eigenvalues of the *symmetric*
M = L^T B L, and the trace is the sum of their square roots: a Cholesky factor, two products, and eigenvalues alone.

**FID is biased.** A covariance of N clips in D dimensions is off by about D / N, and every such error adds to the
distance: N(0, I_512) against itself gives 448 at N = 256 and 129 at N = 1,024 (`protocols.frechet_bias`). Compare FIDs
at one N only, and with the value of real motion against real motion at that N.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.embeddings import Embeddings, as_embeddings, group_numbers, spread_of_mean
from motionlab.evaluation.intervals import Interval

_ROWS = 2048  # centred and multiplied at once: 4 MB at D = 512, which stays in the cache
_MANY = 8  # with fewer than so many rows a dimension, small eigenvalues matter, and the sums are made in float64
_SMALL = 1e-4  # of the mean variance: float32 sums would be felt in the square root of a smaller pivot
_NORMAL = 1.96


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean `[D]`, covariance `[D, D]` (float64) and number of rows of a set of embeddings.

    Make it once of the real motions and compare every model with it.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n: int
    factor: np.ndarray  # [D, r], factor @ factor.T = covariance

    @classmethod
    def of(cls, embeddings: Embeddings, *, unit: bool = False) -> Gaussian:
        """Mean, covariance (divided by N - 1) and a factor of it.

        Sums are float32 products of centred rows, 2,048 at a time, added up in float64. Where that would be felt (few
        rows, or directions that hardly vary) they are made in float64 throughout.

        Raises:
            InputError: not `[N, D]` with two rows or more.
        """
        table = as_embeddings(embeddings, unit=unit, least=2)
        if table.shape[0] >= _MANY * table.shape[1]:
            mean, covariance = _moments(table.numpy())
            factor = _cholesky(covariance)
            if factor is not None and np.diagonal(factor).min() ** 2 >= _SMALL * np.trace(covariance) / len(covariance):
                return cls(mean, covariance, len(table), factor)
        wide = table.double().numpy()
        mean, covariance = _moments(wide)
        if len(wide) <= len(mean):
            return cls(mean, covariance, len(table), _row_factor(wide - mean))
        factor = _cholesky(covariance)
        return cls(mean, covariance, len(table), _eigen_factor(covariance) if factor is None else factor)


def frechet_distance(a: Embeddings | Gaussian, b: Embeddings | Gaussian, *, unit: bool = False) -> float:
    """FID between two sets of embeddings `[N, D]` and `[M, D]`, or Gaussians of them.

    Args:
        unit: divide embeddings by their lengths first. (Give it to `Gaussian.of` for a Gaussian.)

    >>> import torch
    >>> x = torch.randn(4000, 8, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(x, x + 1), 3)  # moved by 1 in 8 dimensions
    8.0
    """
    first, second = _gaussians(a, b, unit)
    return _distance(first, np.linalg.eigvalsh(_middle(first, second)), second)


def frechet_interval(
    a: Embeddings,
    b: Embeddings,
    *,
    unit: bool = False,
    groups_a: Sequence[Any] | None = None,
    groups_b: Sequence[Any] | None = None,
) -> Interval:
    """FID with its 95 % interval over the clips of both sets (or over groups of clips, such as takes).

    Drawing clips with replacement and taking percentiles does not work for FID: a draw holds 63 % of the clips, which
    adds bias, and the interval lies above the value. So the standard error is that of the linear part: the effect of
    clip x on FID is (x-m)^T (I - T)(x-m) + 2 (m_a - m_b)(x-m), where T = A^-1 (A B)^(1/2) moves one Gaussian onto the
    other (Takatsu, "Wasserstein geometry of Gaussian measures", 2011). It costs one more product, where 200 draws cost
    200 FIDs. Sets with fewer than twice as many clips as dimensions have no such effect; there clips are drawn, and the
    spread of the draws is put around the value.

    The interval is that of FID at this number of clips. It does not hold the bias.
    """
    first, second = as_embeddings(a, "a", unit=unit, least=2), as_embeddings(b, "b", unit=unit, least=2)
    one, two = _gaussians(Gaussian.of(first), Gaussian.of(second), False)
    few = min(one.n, two.n) < 2 * len(one.mean)
    if few or one.factor.shape[0] != one.factor.shape[1]:
        value = frechet_distance(one, two)
        spread, n = _drawn_spread(first, second, groups_a, groups_b)
    else:
        squared, axes = np.linalg.eigh(_middle(one, two))
        value = _distance(one, squared, two)
        roots = np.sqrt(np.maximum(squared, squared.max() * 1e-12))
        inverse = np.linalg.inv(one.factor)
        to_b = inverse.T @ (axes * roots @ axes.T) @ inverse  # T
        to_a = one.factor @ (axes / roots @ axes.T) @ one.factor.T  # its inverse
        shift = one.mean - two.mean
        of_a = _effects(first, one.mean, to_b, shift)
        of_b = _effects(second, two.mean, to_a, -shift)
        (error_a, n_a), (error_b, n_b) = spread_of_mean(of_a, groups_a), spread_of_mean(of_b, groups_b)
        spread, n = math.hypot(error_a, error_b), min(n_a, n_b)
    return Interval(value, max(0.0, value - _NORMAL * spread), value + _NORMAL * spread, n)


def _effects(table: Tensor, mean: np.ndarray, transport: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The effect of every row on FID, up to a constant. `[N, D] -> [N]`."""
    rows = table.numpy() - mean.astype(table.numpy().dtype)
    kernel = (np.eye(len(mean)) - transport).astype(rows.dtype)
    effects: np.ndarray = np.einsum("nd,nd->n", rows @ kernel, rows) + 2 * rows @ shift.astype(rows.dtype)
    return effects.astype(np.float64)


def _drawn_spread(
    a: Tensor, b: Tensor, groups_a: Sequence[Any] | None, groups_b: Sequence[Any] | None, draws: int = 50
) -> tuple[float, int]:
    """Standard deviation of FID over draws of clips (or groups) with replacement."""
    random = np.random.default_rng(0)
    names = group_numbers(groups_a, len(a), "groups_a"), group_numbers(groups_b, len(b), "groups_b")
    order = [np.argsort(name, kind="stable") for name in names]
    members = [np.split(o, np.cumsum(np.bincount(name))[:-1]) for o, name in zip(order, names, strict=True)]
    values = []
    for _ in range(draws):
        rows = [np.concatenate([m[i] for i in random.integers(len(m), size=len(m))]) for m in members]
        if min(len(np.unique(row)) for row in rows) > 1:
            values.append(frechet_distance(a[rows[0]], b[rows[1]]))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return spread, min(len(m) for m in members)


def _gaussians(a: Embeddings | Gaussian, b: Embeddings | Gaussian, unit: bool) -> tuple[Gaussian, Gaussian]:
    first, second = (x if isinstance(x, Gaussian) else Gaussian.of(x, unit=unit) for x in (a, b))
    if first.mean.shape != second.mean.shape:
        raise InputError(
            "embeddings",
            found=f"{len(first.mean)} and {len(second.mean)} dimensions",
            expected="the same number",
            fix="Embed both sets with one encoder.",
        )
    return first, second


def _middle(a: Gaussian, b: Gaussian) -> np.ndarray:
    """M = L^T B L, `[r, r]`, with the eigenvalues of A B."""
    middle: np.ndarray = a.factor.T @ b.covariance @ a.factor
    middle += middle.T.copy()
    return middle / 2


def _distance(a: Gaussian, squared: np.ndarray, b: Gaussian) -> float:
    cross = float(np.sqrt(np.maximum(squared, 0)).sum())
    moved = float(((a.mean - b.mean) ** 2).sum())
    return max(0.0, moved + float(np.trace(a.covariance) + np.trace(b.covariance)) - 2 * cross)


def _moments(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance in float64. (numpy computes `x.T @ x` as the symmetric product it is, at half the cost.)"""
    mean = table.mean(0, dtype=np.float64)
    about = mean.astype(table.dtype)
    sums = np.zeros((table.shape[1],) * 2)
    for start in range(0, len(table), _ROWS):
        rows = table[start : start + _ROWS] - about
        sums += rows.T @ rows
    return mean, sums / (len(table) - 1)


def _cholesky(covariance: np.ndarray) -> np.ndarray | None:
    """L with L L^T = covariance; None where a direction does not vary."""
    try:
        factor: np.ndarray = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None
    steady = np.diagonal(factor).min() ** 2 > 1e-13 * np.trace(covariance)
    return factor if steady else None


def _eigen_factor(covariance: np.ndarray) -> np.ndarray:
    """The same of a singular covariance, `[D, r]` with as many columns as directions vary."""
    values, axes = np.linalg.eigh(covariance)
    kept = _varying(values, len(values))
    factor: np.ndarray = axes[:, kept] * np.sqrt(values[kept])
    return factor


def _row_factor(centred: np.ndarray) -> np.ndarray:
    """The same from `[N, D]` rows that are no more than dimensions: their singular vectors, without a `[D, D]` matrix.

    An interval of few clips needs a hundred of them, and the eigenvectors of a covariance take ten times as long.
    """
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    values = lengths**2 / (len(centred) - 1)
    kept = _varying(values, centred.shape[1])
    factor: np.ndarray = axes[kept].T * np.sqrt(values[kept])
    return factor


def _varying(values: np.ndarray, dimensions: int) -> np.ndarray:
    """Which variances are more than rounding."""
    varying: np.ndarray = values > 1e-13 * max(values.max(), 0.0) * dimensions
    return varying
