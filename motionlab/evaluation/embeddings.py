"""Helpers of the metrics on embeddings: checked tables `[N, D]`, unit length, and the interval of a mean over clips.

Published evaluators embed a caption and a motion as vectors of a few hundred numbers. Some works measure on them as
they are, others after division by their length, and the two rank methods differently (`protocols.unit_length_ranking`).
So every metric here takes `unit`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.intervals import Interval, wilson

Embeddings = Tensor | np.ndarray
_NORMAL = 1.96


def as_embeddings(values: Embeddings, where: str = "embeddings", *, unit: bool = False, least: int = 1) -> Tensor:
    """The table `[N, D]` as floats on the CPU; float64 stays float64, everything else becomes float32.

    Args:
        unit: divide every row by its length; a row of zeros stays zero.
        least: rows that the caller needs.

    Raises:
        InputError: another shape, too few rows, or NaN or infinity.
    """
    table = torch.as_tensor(values).detach().cpu()
    table = table if table.dtype == torch.float64 else table.float()
    if table.ndim != 2 or table.shape[1] == 0 or len(table) < least:
        raise InputError(
            where, found=f"shape {tuple(table.shape)}", expected=f"(N, D) with N >= {least}", fix="One row per clip."
        )
    if not torch.isfinite(table.sum()) and not torch.isfinite(table).all():  # one pass where all is well
        raise InputError(where, found="NaN or infinity", expected="finite numbers", fix="Look at the encoder's output.")
    return unit_length(table) if unit else table


def as_pairs(a: Embeddings, b: Embeddings, where: str, *, unit: bool = False) -> tuple[Tensor, Tensor]:
    """Two tables of which row i of one belongs to row i of the other."""
    first, second = as_embeddings(a, where, unit=unit), as_embeddings(b, where, unit=unit)
    if first.shape != second.shape:
        raise InputError(
            where,
            found=f"shapes {tuple(first.shape)} and {tuple(second.shape)}",
            expected="two equal shapes (N, D), row i of one for row i of the other",
            fix="Embed each caption with its own motion.",
        )
    return first, second


def unit_length(table: Tensor) -> Tensor:
    """Rows divided by their lengths.

    >>> unit_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    lengths: Tensor = table.norm(dim=1, keepdim=True)
    return table / lengths.clamp(min=torch.finfo(table.dtype).tiny)


def squared_lengths(table: Tensor) -> Tensor:
    """`[N, D] -> [N]`, without a second table in memory."""
    lengths: Tensor = torch.linalg.vector_norm(table, dim=1)
    return lengths.square_()


def group_numbers(groups: Sequence[Any] | None, n: int, where: str) -> np.ndarray:
    """Number of the group of each row, `[n]`; every row is its own group where none are given."""
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise InputError(where, found=f"{len(groups)} for {n} rows", expected="one for each row", fix="Name them all.")
    numbers: np.ndarray = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    return numbers


def spread_of_mean(effects: np.ndarray, groups: Sequence[Any] | None = None) -> tuple[float, int]:
    """Standard error of the mean of `effects` when rows, or whole groups of them, are drawn with replacement.

    The limit of infinitely many bootstrap draws needs no draw at all: it is the sum of the squared deviations of the
    groups (the infinitesimal jackknife; Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", 1982). With a
    statistic that is not a mean, give the effect of each clip on it (its influence).

    Returns:
        the standard error (nan for one group) and the number of groups.
    """
    numbers = group_numbers(groups, len(effects), "groups")
    sums = np.bincount(numbers, weights=effects - effects.mean())  # [groups]
    count = len(sums)
    if count < 2:
        return math.nan, count
    return float(np.sqrt((sums**2).sum() * count / (count - 1)) / len(effects)), count


def mean_interval(
    values: np.ndarray,
    groups: Sequence[Any] | None = None,
    *,
    center: float | None = None,
    draws: np.ndarray | None = None,
    share: bool = False,
) -> Interval:
    """The mean of one value a clip, with its 95 % interval over clips (or groups of them), and over repeated draws.

    Args:
        center: the value to report where it is not the mean of `values`.
        draws: the metric in each of several random draws; the variance of their mean is added.
        share: values are 0 and 1 (or means of such), so the interval ends at 0 and 1, and is Wilson's where it can be.
    """
    error, count = spread_of_mean(values, groups)
    middle = float(values.mean()) if center is None else center
    if share and groups is None and draws is None and np.isin(values, (0.0, 1.0)).all():
        return wilson(int(values.sum()), len(values))
    variance = error**2
    if draws is not None and len(draws) > 1:
        variance += float(draws.var(ddof=1)) / len(draws)
    half = _NORMAL * math.sqrt(variance) if math.isfinite(variance) else math.nan
    low, high = middle - half, middle + half
    return Interval(middle, max(low, 0.0) if share else low, min(high, 1.0) if share else high, count)
