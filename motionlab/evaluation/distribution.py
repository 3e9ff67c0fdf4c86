"""Metrics on embeddings of a text-motion evaluator, in one place: FID, R-precision, matching distance, diversity,
multimodality and nearest neighbours.

All of them take tables `[N, D]` (tensors or arrays), `unit=True` for vectors of length 1, and say how sure they are: an
`Interval` over clips (or over groups of clips: `groups`), and over draws where the published protocol draws at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.embeddings import Embeddings, as_embeddings, mean_interval, squared_lengths, unit_length
from motionlab.evaluation.frechet import Gaussian, frechet_distance, frechet_interval
from motionlab.evaluation.intervals import Interval
from motionlab.evaluation.retrieval import Nearest, matching_distance, nearest, r_precision

__all__ = [
    "Gaussian", "Nearest", "diversity", "frechet_distance", "frechet_interval", "matching_distance", "multimodality",
    "nearest", "r_precision",
]  # fmt: skip
_ENOUGH = 2000  # clips from which the effect of each clip on the mean distance is told
_BLOCK = 512


def diversity(
    motions: Embeddings,
    *,
    pairs: int | None = None,
    draws: int = 20,
    seed: int = 0,
    groups: Sequence[Any] | None = None,
    unit: bool = False,
) -> Interval:
    """Mean Euclidean distance between two motions. High is not always good: noise is diverse. Compare with real motion.

    Args:
        motions: `[N, D]`.
        pairs: None: all pairs. With 300 this is the published protocol: two lists of 300 clips drawn at random, the
            distance of the i-th of one and the i-th of the other; repeated `draws` times.
        groups: what each clip belongs to; the interval is over groups then.

    The clips' part of the interval is that of a mean over pairs (a U-statistic): twice the spread of the mean distance
    of one clip to the others (Hoeffding, Annals of Mathematical Statistics 1948).

    Raises:
        InputError: fewer than two motions, or more pairs than motions.

    >>> diversity(torch.tensor([[0.0], [3.0], [6.0]])).value
    4.0
    """
    table = as_embeddings(motions, "motions", unit=unit, least=2)
    n = len(table)
    if pairs is not None and not 1 <= pairs <= n:
        raise InputError("pairs", found=pairs, expected=f"1 to {n}, the number of motions", fix="Draw fewer pairs.")
    random = np.random.default_rng(seed)
    if pairs is None:
        of_clip = _mean_distances(table)
        return mean_interval(2 * of_clip, groups, center=float(of_clip.mean()))
    of_draw = np.empty(draws)
    for draw in range(draws):
        one, other = (random.choice(n, pairs, replace=False) for _ in range(2))
        of_draw[draw] = float((table[one] - table[other]).norm(dim=1).double().mean())
    rows = np.arange(n) if n <= _ENOUGH else np.sort(random.choice(n, _ENOUGH, replace=False))
    of_clip = _mean_distances(table, rows)
    kept = None if groups is None else [groups[row] for row in rows]
    few = mean_interval(2 * of_clip, kept)  # its half width falls with the root of the clips, of which there are n
    half = (few.high - few.value) * (len(rows) / n) ** 0.5
    drawn = mean_interval(of_draw)
    half = float(np.hypot(half, drawn.high - drawn.value)) if draws > 1 else half
    return Interval(drawn.value, drawn.value - half, drawn.value + half, few.n if n <= _ENOUGH else n)


def multimodality(
    motions: Tensor | np.ndarray, *, pairs: int | None = None, draws: int = 20, seed: int = 0, unit: bool = False
) -> Interval:
    """Mean Euclidean distance between two motions of one caption, with its interval over captions.

    Args:
        motions: `[C, S, D]`: S motions of each of C captions.
        pairs: None: all pairs of the S motions. With 10 (and S = 30) this is the published protocol: so many pairs
            drawn at random, the two of a pair from two draws without replacement; repeated `draws` times.

    Raises:
        InputError: another shape, fewer than two motions of a caption, or more pairs than motions.

    >>> multimodality(torch.tensor([[[0.0], [2.0]], [[5.0], [9.0]]])).value
    3.0
    """
    table = torch.as_tensor(motions).detach().cpu()
    if table.ndim != 3 or table.shape[0] < 1 or table.shape[1] < 2:
        raise InputError(
            "motions", found=f"shape {tuple(table.shape)}", expected="(C, S, D), S >= 2", fix="Generate more motions."
        )
    captions, samples = table.shape[:2]
    if pairs is not None and not 1 <= pairs <= samples:
        raise InputError("pairs", found=pairs, expected=f"1 to {samples}", fix="Draw fewer pairs.")
    flat = as_embeddings(table.flatten(0, 1), "motions")
    table = (unit_length(flat) if unit else flat).unflatten(0, (captions, samples))
    if pairs is None:
        distances = torch.cdist(table, table, compute_mode="donot_use_mm_for_euclid_dist")  # [C, S, S]
        of_caption = distances.double().sum((1, 2)) / (samples * (samples - 1))
        return mean_interval(of_caption.numpy())
    random = np.random.default_rng(seed)
    drawn = np.empty((draws, captions))
    for draw in range(draws):
        one, other = (torch.from_numpy(random.permutation(samples)[:pairs]) for _ in range(2))
        drawn[draw] = (table[:, one] - table[:, other]).norm(dim=-1).double().mean(1).numpy()
    return mean_interval(drawn.mean(0), draws=drawn.mean(1))


def _mean_distances(table: Tensor, rows: np.ndarray | None = None) -> np.ndarray:
    """Mean distance of each row to the other rows, `[N]`; of the chosen rows to each other."""
    chosen = table if rows is None else table[torch.from_numpy(rows)]
    chosen = chosen - chosen.mean(0)
    squared = squared_lengths(chosen)
    sums = torch.empty(len(chosen), dtype=torch.float64)
    for start in range(0, len(chosen), _BLOCK):
        part = slice(start, start + _BLOCK)
        block = torch.addmm(squared, chosen[part], chosen.T, alpha=-2).add_(squared[part, None])
        block[torch.arange(len(block)), torch.arange(start, start + len(block))] = 0  # rounding would leave a root
        sums[part] = block.clamp_(min=0).sqrt_().sum(1, dtype=torch.float64)
    means: np.ndarray = (sums / (len(chosen) - 1)).numpy()
    return means
