"""Who may look at whom, painted token by token: one square a pair, a row for each token that looks.

Everything is a pure function of the tokens, of their two flags and of the name of the rule. The rules are those of
`llama/masks.py`; "raw flags" is the common mistake: it compares the flags themselves instead of their running sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.masks import causal_mask, make_att_2d_masks, padding_mask, position_ids, prefix_mask
from motionlab.plots.player import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULES = ("causal", "prefix", "make_att_2d_masks", "raw flags")
PLACES = ("after the text", "at the end")
MOST_TOKENS = 20
_PADDING, _WRONG, _EMPTY = "#c9d1d9", "#cf222e", "#ffffff"


@dataclass(frozen=True)
class Tokens:
    """A sequence before any rule.

    Fields:
        names: what to write beside each token; letters of a name say its kind ("txt1", "txt2" are both "txt").
        pad: 1 on real tokens, 0 on padding.
        att: 1 where a new block starts.
    """

    names: tuple[str, ...]
    pad: tuple[int, ...]
    att: tuple[int, ...]


@dataclass(frozen=True)
class MaskView:
    """A rule applied to tokens.

    Fields:
        allow: bool `[N, N]`, True where row i may look at column j.
        blocks: running sum of `att`, the number of each token's block.
        positions: running sum of `pad` minus 1.
        query: number of the row that is looked at, from 0.
    """

    rule: str
    tokens: Tokens
    allow: Tensor
    blocks: list[int]
    positions: list[int]
    query: int

    @property
    def reads_padding(self) -> int:
        """How many pairs let a real token look at padding: 0 in a mask that is right."""
        real = torch.tensor(self.tokens.pad).bool()
        return int((self.allow & real[:, None] & ~real[None, :]).sum())

    @property
    def seen(self) -> list[str]:
        """Names of the tokens that the query sees."""
        return [name for name, sees in zip(self.tokens.names, self.allow[self.query].tolist(), strict=True) if sees]


def caption_tokens(text: int, motion: int, padding: int = 0, place: str = "after the text") -> Tokens:
    """Tokens of one row of a batch: its text, its motion, and the padding that a longer text or motion asks for.

    `place`: "after the text" is how openpi and most vision-language-action models lay a batch out, with a gap between a
    short text and what follows; "at the end" is how `MotionLlama` does it.

    >>> caption_tokens(2, 1, 1)
    Tokens(names=('txt1', 'txt2', 'pad1', 'm1'), pad=(1, 1, 0, 1), att=(0, 0, 0, 1))
    """
    if place not in PLACES:
        raise InputError("padding", found=repr(place), expected=" or ".join(PLACES), fix="Choose one of these.")
    words = [(f"txt{i + 1}", 1, 0) for i in range(text)]
    codes = [(f"m{i + 1}", 1, 1) for i in range(motion)]
    inside = place == PLACES[0]
    empty = [(f"pad{i + 1}", 0, 0 if inside else 1) for i in range(padding)]
    rows = [*words, *empty, *codes] if inside else [*words, *codes, *empty]
    if not 1 <= len(rows) <= MOST_TOKENS:
        raise InputError("tokens", found=len(rows), expected=f"1 to {MOST_TOKENS}", fix="Move the sliders.")
    names, pad, att = zip(*rows, strict=True)
    return Tokens(names, pad, att)


def compute_mask(rule: str, tokens: Tokens, *, hide: bool = True, query: int = 0) -> MaskView:
    """Apply a rule.

    Args:
        rule: one of `RULES`. "prefix" takes the tokens before the first 1 of `att` for the text.
        hide: False forgets the padding flags, as a program does that passes no padding mask.
        query: the row that `seen` is about.

    Raises:
        InputError: an unknown rule, or a query that is not there.

    >>> view = compute_mask("make_att_2d_masks", caption_tokens(2, 2, 1), query=3)
    >>> view.seen, view.blocks, view.reads_padding
    (['txt1', 'txt2', 'm1'], [0, 0, 0, 1, 2], 0)
    """
    if rule not in RULES:
        raise InputError("rule", found=repr(rule), expected=", ".join(RULES), fix="Choose one of these.")
    count = len(tokens.names)
    if not 0 <= query < count:
        raise InputError("query", found=query + 1, expected=f"1 to {count}", fix="Choose a token that is there.")
    att = torch.tensor(tokens.att)
    pad = torch.tensor(tokens.pad) if hide else torch.ones_like(att)
    everyone = padding_mask(pad[None])[0, 0]  # [N, N]
    if rule == "causal":
        allow = causal_mask(count) & everyone
    elif rule == "prefix":
        is_text = att.cumsum(0) == 0
        allow = prefix_mask(is_text[None], count)[0, 0] & everyone
    elif rule == "make_att_2d_masks":
        allow = make_att_2d_masks(pad[None], att)[0]
    else:
        allow = (att[None, :] <= att[:, None]) & everyone
    return MaskView(rule, tokens, allow, att.cumsum(0).tolist(), position_ids(pad[None])[0].tolist(), query)


def mask_figure(view: MaskView) -> Figure:
    """One mask as squares, with the flags of every column above it. Red: a real token reads padding."""
    from matplotlib.figure import Figure

    count = len(view.tokens.names)
    side = 1.6 + 0.33 * count
    figure = Figure(figsize=(side + 0.9, side + 0.5), layout="constrained")
    _draw_mask(figure.subplots(), view, flags=True)
    return figure


def masks_figure(views: Sequence[MaskView]) -> Figure:
    """Several masks beside each other."""
    from matplotlib.figure import Figure

    side = 1.0 + 0.27 * max(len(view.tokens.names) for view in views)
    figure = Figure(figsize=(side * len(views), side + 0.5), layout="constrained")
    for axes, view in zip(figure.subplots(1, len(views), squeeze=False)[0], views, strict=True):
        _draw_mask(axes, view, flags=False)
    return figure


def _draw_mask(axes: Axes, view: MaskView, flags: bool) -> None:
    from matplotlib.patches import Rectangle

    names, count = view.tokens.names, len(view.tokens.names)
    kinds = list(dict.fromkeys(_kind(name) for name, real in zip(names, view.tokens.pad, strict=True) if real))
    for i in range(count):
        for j in range(count):
            color = _EMPTY
            if view.allow[i, j]:
                color = PALETTE[kinds.index(_kind(names[j])) % len(PALETTE)] if view.tokens.pad[j] else _PADDING
                if view.tokens.pad[i] and not view.tokens.pad[j]:
                    color = _WRONG
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=color, edgecolor="#d0d7de", linewidth=0.6))
    axes.add_patch(Rectangle((0, view.query), count, 1, fill=False, edgecolor="#24292f", linewidth=2.2, clip_on=False))
    top = 0.0
    if flags:
        rows = {"block": view.blocks, "att": view.tokens.att, "pad": view.tokens.pad}
        for height, (label, values) in enumerate(rows.items()):
            for j, value in enumerate(values):
                axes.text(j + 0.5, -0.5 - height, str(value), ha="center", va="center", fontsize=8, color="#57606a")
            axes.text(-0.25, -0.5 - height, label, ha="right", va="center", fontsize=8, color="#57606a")
        top = -float(len(rows))
    axes.set(
        xlim=(0, count),
        ylim=(count, top),
        aspect="equal",
        title=view.rule + (": padding is read" if view.reads_padding else ""),
    )
    middle = [k + 0.5 for k in range(count)]
    axes.set_xticks(middle, names, rotation=90, fontsize=8)
    axes.set_yticks(middle, names, fontsize=8)
    axes.set_xlabel("is seen (key)", fontsize=9)
    axes.set_ylabel("looks (query)", fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _kind(name: str) -> str:
    return name.rstrip("0123456789")
