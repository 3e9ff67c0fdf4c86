"""Does a motion fit its caption? R-precision, matching distance and nearest neighbours of embeddings.

R-precision (Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022): the share of captions
of which the own motion is among the k nearest. The published protocol asks in batches of 32, so a caption has only 31
rivals, and the score depends on which. `batch=None` asks against all motions, and depends only on how many there are.

The usual programs compute every distance, take its root, and sort each row, of which they then read three entries.
Sorting is the most expensive part, and needless: the own motion is at place k + 1 when k rivals are closer. A caption
with enough closer rivals among the first few hundred motions is answered, and its row is left. For the others most
rivals are excluded by a bound in few dimensions, and few distances remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.evaluation.embeddings import (
    Embeddings,
    as_embeddings,
    as_pairs,
    group_numbers,
    mean_interval,
    squared_lengths,
)
from motionlab.evaluation.intervals import Interval

_TIE = 1e-6  # of the squared lengths: rivals that are nearer to each other than rounding
_FIRST = 256  # motions that every caption is compared with
_BLOCK = 512  # captions of which distances to all motions are held at once
_FEW = 256  # rows of shuffled batches that are gathered at once: they stay in the cache
_WORTH = 0.8  # of the captions may be left by a look at further motions; with more, the bound is tried
_SPARSE = 0.004  # share of pairs up to which distances one by one are cheaper than the whole block


def r_precision(
    text: Embeddings,
    motion: Embeddings,
    ks: Sequence[int] = (1, 2, 3),
    *,
    batch: int | None = None,
    captions: Sequence[Any] | None = None,
    groups: Sequence[Any] | None = None,
    unit: bool = False,
    draws: int = 20,
    seed: int = 0,
) -> dict[int, Interval]:
    """Share of the captions of which fewer than k other motions are as close as their own, with 95 % intervals.

    A rival *as close* as the own motion counts as closer: otherwise an encoder that maps everything to one point would
    score 100 %.

    Args:
        text, motion: `[N, D]`, row i of one for row i of the other; distances are Euclidean.
        batch: number of motions that a caption chooses from; None: all N. With 32 this is the published protocol:
            shuffled batches, the incomplete last one dropped, repeated `draws` times.
        captions: the caption of each row. Motions of an equal caption are then no rivals (duplicates count as right).
            Without it they are rivals, as in the published programs.
        groups: what each clip belongs to, such as its take; intervals are over groups then.
        unit: divide embeddings by their lengths first.

    Returns:
        k -> interval. The rivals are taken as given; with `batch` the variance over the draws is added.

    Raises:
        InputError: shapes that differ, k below 1, or a batch that is larger than N or smaller than 2.

    >>> x = torch.eye(40)
    >>> r_precision(x, x, ks=(1,), batch=32)[1].value
    1.0
    """
    a, b = as_pairs(text, motion, "text and motion", unit=unit)
    n, most = len(a), max(ks, default=0)
    if min(ks, default=0) < 1:
        raise InputError("ks", found=list(ks), expected="whole numbers from 1", fix="Ask for (1, 2, 3).")
    names = None if captions is None else torch.from_numpy(group_numbers(captions, n, "captions"))
    if batch is None:
        rivals = closer_rivals(a, b, most, names).numpy()
        return {k: mean_interval((rivals < k).astype(float), groups, share=True) for k in ks}
    if not 2 <= batch <= n:
        raise InputError("batch", found=batch, expected=f"2 to {n}, the number of clips", fix="Take more clips.")
    counts = batched_rivals(a, b, batch, draws, seed, names)  # [draws, N], -1 where a clip was dropped
    found: dict[int, Interval] = {}
    asked = counts >= 0
    used: list[bool] = np.any(asked, axis=0).tolist()
    for k in ks:
        right = (counts < k) & asked
        of_clip = (right.sum(0) / asked.sum(0).clip(1))[used]
        of_draw = right.sum(1) / asked.sum(1)
        names_used = None if groups is None else [group for group, in_use in zip(groups, used, strict=True) if in_use]
        found[k] = mean_interval(of_clip, names_used, center=float(of_draw.mean()), draws=of_draw, share=True)
    return found


def closer_rivals(text: Tensor, motion: Tensor, most: int, names: Tensor | None = None) -> Tensor:
    """How many rivals are as close to each caption as its own motion, `[N]`; counting stops at `most`, or beyond it.

    Args:
        text, motion: `[N, D]`.
        names: `[N]` numbers of captions; rows of one number are no rivals.
    """
    center = motion.mean(0)
    x, y = text - center, motion - center  # distances stay, rounding is smaller
    n = len(x)
    y_squared, x_squared, own = squared_lengths(y), squared_lengths(x), squared_lengths(x - y)
    # |x - y|^2 <= own + tie  <=>  |y|^2 - 2 x y <= limit
    limit = own - x_squared + _TIE * (x_squared + y_squared)  # [N]
    counts = torch.zeros(n, dtype=torch.long)
    active = torch.arange(n)
    start, width, before = 0, _FIRST, 2 * n
    while start < n and 0 < len(active) < _WORTH * before:  # the last columns answered enough captions
        before, stop = len(active), min(start + width, n)
        for rows in active.split(4 * _BLOCK):
            scores = torch.addmm(y_squared[start:stop], x[rows], y[start:stop].T, alpha=-2)  # [rows, width]
            counts += _count(scores <= limit[rows, None], rows, start, names, n)
        active = active[counts[active] < most]
        start, width = stop, 2 * width
    if start < n and len(active):
        screen = _Screen(x, y, y_squared, limit, start)
        for rows in active.split(_BLOCK):
            counts += _count_pairs(*screen.pairs(rows), names, n)
    return counts


class _Screen:
    """Pairs of captions and motions that are close enough, with most excluded by a bound in few dimensions.

    In an orthonormal basis, let p coordinates be kept and all others be replaced by one, the length of the rest:
    x' = (x_1..x_p, r_x). As |rest_x - rest_y| >= |r_x - r_y|, the distance of x' and y' is never more than that of x
    and y. A rival whose x'-distance exceeds the limit needs no further look.
    """

    def __init__(self, x: Tensor, y: Tensor, y_squared: Tensor, limit: Tensor, start: int) -> None:
        self.x, self.y, self.y_squared, self.limit, self.start = x, y, y_squared, limit, start
        kept = max(1, min(64, x.shape[1] // 4))
        sample = y[:: max(1, len(y) // 2048)].numpy()
        axes = torch.from_numpy(np.linalg.eigh(sample.T @ sample)[1][:, -kept:].copy())  # [D, p]: motions differ most
        self.short_x, self.short_y = self._fold(x, axes), self._fold(y, axes)[start:]
        # The bound is rounded, too: what is excluded must be farther by more than that.
        self.slack = 4 * _TIE * (squared_lengths(x) + y_squared.max())
        self.dense = False

    @staticmethod
    def _fold(table: Tensor, axes: Tensor) -> Tensor:
        """`[N, D] -> [N, p + 1]`."""
        head = table @ axes
        rest = (squared_lengths(table) - squared_lengths(head)).clamp(min=0).sqrt()
        return torch.cat((head, rest[:, None]), 1)

    def pairs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Captions (numbers from `rows`) and motions (from `start` on) at most as far as the caption's own motion."""
        if not self.dense:
            bound = torch.addmm(self.y_squared[self.start :], self.short_x[rows], self.short_y.T, alpha=-2)
            row, column = _where(bound <= (self.limit + self.slack)[rows, None])
            if len(row) <= _SPARSE * bound.numel():
                caption, other = rows[row], column + self.start
                scores = self.y_squared[other] - 2 * (self.x[caption] * self.y[other]).sum(1)
                near = scores <= self.limit[caption]
                return caption[near], other[near]
            self.dense = True  # the bound excludes too little here: whole blocks from now on
        scores = torch.addmm(self.y_squared[self.start :], self.x[rows], self.y[self.start :].T, alpha=-2)
        row, column = _where(scores <= self.limit[rows, None])
        return rows[row], column + self.start


def _where(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is true. (numpy finds the few true ones of many about ten times as fast as torch.)"""
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return flat // mask.shape[1], flat % mask.shape[1]


def _count(near: Tensor, rows: Tensor, start: int, names: Tensor | None, n: int) -> Tensor:
    row, column = _where(near)
    return _count_pairs(rows[row], column + start, names, n)


def _count_pairs(caption: Tensor, other: Tensor, names: Tensor | None, n: int) -> Tensor:
    """Rivals of each caption, `[n]`, without its own motion and without those of an equal caption."""
    rival = caption != other if names is None else names[caption] != names[other]
    return torch.bincount(caption[rival], minlength=n)


def batched_rivals(
    text: Tensor, motion: Tensor, batch: int, draws: int, seed: int, names: Tensor | None = None
) -> np.ndarray:
    """The same in shuffled batches, `[draws, N]`; -1 where a clip was in the incomplete last batch."""
    random = np.random.default_rng(seed)
    n, full = len(text), len(text) // batch * batch
    center = motion.mean(0)
    x, y = text - center, motion - center
    x_squared, y_squared = squared_lengths(x), squared_lengths(y)
    tie = _TIE * (x_squared + y_squared)  # [N]
    counts = np.full((draws, n), -1)
    for draw in range(draws):
        order = torch.from_numpy(random.permutation(n)[:full]).view(-1, batch)
        for rows in order.split(max(1, _FEW // batch)):  # [batches, batch]
            # `x[rows]`, in half the time
            some_x, some_y = (table.index_select(0, rows.flatten()).view(*rows.shape, -1) for table in (x, y))
            scores = torch.baddbmm(y_squared[rows][:, None, :], some_x, some_y.mT, alpha=-2)
            near = scores <= (scores.diagonal(dim1=1, dim2=2) + tie[rows])[..., None]  # [batches, batch, batch]
            if names is None:
                near.diagonal(dim1=1, dim2=2).fill_(False)
            else:
                near &= names[rows][:, :, None] != names[rows][:, None, :]
            counts[draw, rows.numpy()] = near.sum(-1).numpy()
    return counts


def matching_distance(
    text: Embeddings, motion: Embeddings, *, groups: Sequence[Any] | None = None, unit: bool = False
) -> Interval:
    """Mean Euclidean distance between a caption and its motion (MM-Dist), in units of the embedding.

    >>> round(matching_distance(torch.zeros(5, 4), torch.ones(5, 4)).value, 6)
    2.0
    """
    a, b = as_pairs(text, motion, "text and motion", unit=unit)
    return mean_interval((a - b).norm(dim=1).double().numpy(), groups)


class Nearest(NamedTuple):
    """The k nearest rows: `distances [N, k]` (rising, float64) and `indices [N, k]`."""

    distances: Tensor
    indices: Tensor


def nearest(a: Embeddings, b: Embeddings, k: int = 1, *, unit: bool = False, skip_self: bool = False) -> Nearest:
    """For every row of `a [N, D]` the k nearest rows of `b [M, D]` by Euclidean distance.

    A product finds a few more candidates than k, and the distances of these are then taken from the differences, so
    that rows which are nearly equal have no rounded zero between them.

    Args:
        skip_self: `a` and `b` are one table, and a row is no neighbour of itself.

    Raises:
        InputError: k that is not 1..M, or different D.

    >>> nearest(torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [7.0], [20.0]])).indices.tolist()
    [[0], [1]]
    """
    x, y = as_embeddings(a, "a", unit=unit), as_embeddings(b, "b", unit=unit)
    available = len(y) - skip_self
    if x.shape[1] != y.shape[1] or not 1 <= k <= available or (skip_self and len(x) != len(y)):
        raise InputError(
            "nearest",
            found=f"shapes {tuple(x.shape)} and {tuple(y.shape)}, k = {k}",
            expected=f"the same D, and k from 1 to {available}",
            fix="Ask for fewer neighbours, or give more rows.",
        )
    center = y.mean(0)
    x_near, y_near = x - center, y - center
    y_squared = squared_lengths(y_near)
    wanted = min(k + 4, len(y))
    distances, indices = [], []
    for start in range(0, len(x), _BLOCK):
        rows = x_near[start : start + _BLOCK]
        scores = torch.addmm(y_squared, rows, y_near.T, alpha=-2)  # [rows, M]: squared distances up to |x|^2
        if skip_self:
            scores[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = torch.inf
        found = scores.topk(wanted, largest=False, sorted=False).indices  # [rows, wanted]
        exact = (x[start : start + _BLOCK, None].double() - y[found].double()).norm(dim=-1)
        if skip_self:
            exact[found == torch.arange(start, start + len(rows))[:, None]] = torch.inf
        exact, order = exact.sort(dim=1, stable=True)
        distances.append(exact[:, :k])
        indices.append(found.gather(1, order[:, :k]))
    return Nearest(torch.cat(distances), torch.cat(indices))
