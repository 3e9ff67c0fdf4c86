"""Which token may look at which: a rule applied to the tokens of one row, for `plots.attention_masks` to draw.

Everything is a pure function of the tokens, of their two flags and of the name of the rule. The rules are those of
`llama/masks.py`; "raw flags" is the common mistake: it compares the flags themselves instead of their running sum.
"""

from __future__ import annotations

import torch

from motionlab.errors import InputError
from motionlab.llama.masks import causal_mask, make_att_2d_masks, padding_mask, position_ids, prefix_mask
from motionlab.plots.attention_masks import MaskView, Tokens

RULES = ("causal", "prefix", "make_att_2d_masks", "raw flags")
PLACES = ("after the text", "at the end")
MOST_TOKENS = 20


def caption_tokens(text: int, motion: int, padding: int = 0, place: str = "after the text") -> Tokens:
    """Tokens of one row of a batch: its text, its motion, and the padding that a longer text or motion asks for.

    `place`: openpi and most vision-language-action models lay a batch out "after the text", with a gap between a
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
        raise InputError("query", found=query + 1, expected=f"1 to {count}", fix="Choose an existing token.")
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
    real = torch.tensor(tokens.pad).bool()
    return MaskView(
        rule=rule,
        tokens=tokens,
        allow=allow,
        blocks=att.cumsum(0).tolist(),
        positions=position_ids(pad[None])[0].tolist(),
        query=query,
        seen=[name for name, sees in zip(tokens.names, allow[query].tolist(), strict=True) if sees],
        reads_padding=int((allow & real[:, None] & ~real[None, :]).sum()),
    )
