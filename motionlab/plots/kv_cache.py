"""Who shares keys and values with whom, and what the cache of a decoder weighs: in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from motionlab.errors import InputError
from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.memory.cache import CacheSettings
from motionlab.memory.settings import MIB, NUMBER_BYTES
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CODES, TEXT_DIM = 64_000, 2048  # of the published decoders
MOST_DRAWN = 16  # query heads that a diagram shows


@dataclass(frozen=True)
class CacheView:
    """A decoder's cache and, to compare it with, its weights.

    Fields:
        name: of the size; settings: what decides about the cache.
        weights: bytes of all parameters in the same precision, for 64,000 codes and flan-t5-xl's features.
    """

    name: str
    settings: CacheSettings
    weights: int


def compute_cache(
    size: str, *, share: int = 1, layers: int = 0, batch: int = 1, length: int = 301, precision: str = "fp32"
) -> CacheView:
    """The cache of a named size.

    Args:
        share: query heads that share one key-value head; 1 is multi-head attention, 0 is all of them (multi-query).
        layers: 0 is as many as the size has.

    Raises:
        InputError: an unknown size, or heads that do not divide.

    >>> compute_cache("111M").settings.bytes, compute_cache("111M", share=4).settings.n_kv_heads
    (22192128, 3)
    """
    if size not in SIZES:
        raise InputError("size", found=repr(size), expected=", ".join(SIZES), fix="Choose one of these.")
    shape = SIZES[size]._replace(n_layer=layers or SIZES[size].n_layer)
    share = share or shape.n_head
    if share < 0 or shape.n_head % share:
        raise InputError(
            "share", found=share, expected=f"a divisor of the {shape.n_head} heads", fix="Choose 1, 2, 4 or all."
        )
    groups = shape.n_head // share
    settings = CacheSettings(**shape._asdict(), n_kv_heads=groups, batch=batch, length=length, precision=precision)
    numbers = parameter_count(CODES, **shape._asdict(), text_dim=TEXT_DIM, n_kv_heads=groups)
    return CacheView(size, settings, numbers * NUMBER_BYTES[precision])


def cache_figure(view: CacheView) -> Figure:
    """Three pictures: which heads share, the bytes for every possible sharing, and how the cache grows with length."""
    from matplotlib.figure import Figure

    settings = view.settings
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1.2, 1.2))
    _draw_heads(left, settings.n_head, settings.n_kv_heads)
    choices = settings.shares
    colors = [PALETTE[1] if groups == settings.n_kv_heads else PALETTE[0] for groups in choices]
    names = [str(groups) for groups in choices]
    bars = middle.bar(names, [settings.bytes_with(groups) / MIB for groups in choices], color=colors, width=0.7)
    middle.bar_label(bars, labels=[_short(settings.bytes_with(groups)) for groups in choices], padding=2, fontsize=7)
    middle.set(title=f"{settings.batch} x {settings.length} positions", xlabel="key-value heads", ylabel="cache (MiB)")
    middle.margins(y=0.15)
    lengths = [2**power for power in range(4, 17)]
    for groups, label, color in (
        (settings.n_head, "multi-head", PALETTE[0]),
        (settings.n_kv_heads, "chosen", PALETTE[1]),
        (1, "multi-query", PALETTE[2]),
    ):
        sizes = [replace(settings, n_kv_heads=groups, length=length).bytes / MIB for length in lengths]
        right.plot(lengths, sizes, color=color, label=label, linewidth=1.6)
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
