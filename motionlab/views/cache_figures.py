"""Pictures of which heads share keys and values, and how large the cache of a decoder is.

A `CacheView` in, a figure out: `views.kv_cache` computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.cost.settings import MIB
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from motionlab.cost.kv_cache import CacheSettings

MOST_DRAWN = 16  # query heads that a diagram shows


@dataclass(frozen=True)
class CacheView:
    """A decoder's cache and, to compare it with, its weights.

    Fields:
        name: of the size; settings: what decides about the cache.
        weights: bytes of all parameters in the same precision, for 64,000 codes and flan-t5-xl's features.
        shares: key-value heads -> bytes of the cache, for every number that divides the query heads.
        of_position: key-value heads -> bytes of one position of one motion.
        lengths: positions; growth: of "multi-head", "chosen" and "multi-query" the bytes at each of these lengths.
    """

    name: str
    settings: CacheSettings
    weights: int
    shares: dict[int, int]
    of_position: dict[int, int]
    lengths: tuple[int, ...]
    growth: dict[str, list[int]]


def cache_figure(view: CacheView) -> Figure:
    """Three pictures: which heads share, the bytes for every possible sharing, and how the cache grows with length."""
    from matplotlib.figure import Figure

    settings = view.settings
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1.2))
    _draw_heads(left, settings.n_head, settings.n_kv_heads)
    colors = [PALETTE[1] if groups == settings.n_kv_heads else PALETTE[0] for groups in view.shares]
    names = [str(groups) for groups in view.shares]
    bars = middle.bar(names, [size / MIB for size in view.shares.values()], color=colors, width=0.7)
    middle.bar_label(bars, labels=[_short(size) for size in view.shares.values()], padding=2, fontsize=7)
    middle.set(title=f"{settings.batch} x {settings.length} positions", xlabel="key-value heads", ylabel="cache (MiB)")
    middle.margins(y=0.15)
    for (label, sizes), color in zip(view.growth.items(), PALETTE, strict=False):
        right.plot(view.lengths, [size / MIB for size in sizes], color=color, label=label, linewidth=1.6)
    right.axhline(view.weights / MIB, color="#57606a", linestyle="--", linewidth=1.1, label="weights")
    right.plot([settings.length], [settings.bytes / MIB], "o", color=PALETTE[1])
    right.set(title=f"batch {settings.batch}", xlabel="positions", ylabel="MiB", xscale="log", yscale="log")
    right.legend(frameon=False, fontsize=8)
    for axes in (middle, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def heads_figure(n_head: int, choices: Sequence[int]) -> Figure:
    """One diagram for each number of key-value heads: query heads below, the heads that they read above.

    >>> len(heads_figure(8, (8, 2, 1)).axes)
    3
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(choices), 2.2), layout="constrained")
    for axes, groups in zip(figure.subplots(1, len(choices), squeeze=False)[0], choices, strict=True):
        _draw_heads(axes, n_head, groups)
    return figure


def _draw_heads(axes: Axes, n_head: int, groups: int) -> None:
    share = n_head // groups
    drawn = min(n_head, MOST_DRAWN) if share <= MOST_DRAWN else MOST_DRAWN
    for head in range(drawn):
        group = head // share
        center = (group * share + min((group + 1) * share, drawn) - 1) / 2
        color = PALETTE[group % len(PALETTE)]
        axes.plot([head, center], [0.14, 0.86], color=color, linewidth=1.0)
        axes.plot([head], [0.08], "s", color=color, markersize=7)
        axes.plot([center], [0.92], "o", color=color, markersize=10)
    kind = "multi-head" if share == 1 else "multi-query" if groups == 1 else f"groups of {share}"
    more = f" (first {drawn})" if drawn < n_head else ""
    axes.set_title(f"{kind}: {n_head} queries{more},\n{groups} key-value head{'s' if groups > 1 else ''}", fontsize=10)
    axes.set(xlim=(-1.2, drawn + 0.2), ylim=(-0.05, 1.08), xticks=[])
    axes.set_yticks([0.08, 0.92], ["query", "k, v"], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _short(size: int) -> str:
    """Bytes in three characters or a few more: 21, 1.3, 1.2k (MiB)."""
    mib = size / MIB
    return f"{mib / 1000:.1f}k" if mib >= 1000 else f"{mib:.0f}" if mib >= 10 else f"{mib:.1f}"
