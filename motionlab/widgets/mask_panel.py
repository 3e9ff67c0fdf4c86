"""The panel of lesson 07: attention masks painted token by token, with flags that can be edited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.errors import InputError
from motionlab.language import Own
from motionlab.plots.attention_masks import MaskView, Tokens, mask_figure
from motionlab.views.attention_masks import MOST_TOKENS, PLACES, RULES, caption_tokens, compute_mask
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_START = {
    "rule": "prefix", "text": 4, "motion": 4, "padding": 2, "place": PLACES[1], "hide": True, "query": 6,
    "tokens": "", "pad": "", "att": "",
}  # fmt: skip
_GAP = _START | {"text": 3, "place": PLACES[0], "query": 6}
_PI0 = _START | {"rule": RULES[2], "tokens": "img1 img2 txt1 txt2 pad1 st a1 a2", "pad": "1 1 1 1 0 1 1 1"}


class MaskPanel(Panel):
    """Choose a rule and the lengths, or write tokens and flags; see every pair, and what one token sees.

    The three text fields win over the sliders; an empty one follows them.
    """

    BESIDE: ClassVar = 310
    PRESETS: ClassVar = {
        "MotionLlama": _START,
        "gap hidden": _GAP,
        "gap read": _GAP | {"hide": False},
        "pi0": _PI0 | {"att": "0 0 0 0 0 1 1 0"},
        "pi0, raw flags": _PI0 | {"att": "0 0 0 0 0 1 1 0", "rule": RULES[3]},
        "SmolVLA": _PI0 | {"att": "0 0 0 0 0 1 1 1"},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "110px"}
        return {
            "rule": W.Dropdown(options=list(RULES), value=_START["rule"], description="rule", style=style),
            "text": W.IntSlider(_START["text"], 0, 8, description="text tokens", style=style),
            "motion": W.IntSlider(_START["motion"], 0, 8, description="motion tokens", style=style),
            "padding": W.IntSlider(_START["padding"], 0, 4, description="padding", style=style),
            "place": W.Dropdown(options=list(PLACES), value=_START["place"], description="padding is", style=style),
            "hide": W.Checkbox(True, description="padding is hidden by its flags", style=style),
            "query": W.IntSlider(_START["query"], 1, MOST_TOKENS, description="token that looks", style=style),
            "tokens": W.Text("", description="tokens", placeholder="txt1 txt2 m1", style=style),
            "pad": W.Text("", description="pad flags", placeholder="1 1 1", style=style),
            "att": W.Text("", description="att flags", placeholder="0 0 1", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> MaskView:
        tokens = caption_tokens(params["text"], params["motion"], params["padding"], params["place"])
        names = tuple(params["tokens"].split()) or tokens.names
        if len(names) > MOST_TOKENS:
            raise InputError("tokens", found=len(names), expected=f"at most {MOST_TOKENS}", fix="Remove some.")
        own = names != tokens.names
        pad = read_flags("pad", params["pad"], (1,) * len(names) if own else tokens.pad)
        att = read_flags("att", params["att"], (1,) * len(names) if own else tokens.att)
        return compute_mask(params["rule"], Tokens(names, pad, att), hide=params["hide"], query=params["query"] - 1)

    def picture(self, result: MaskView) -> Figure:
        return mask_figure(result)

    def describe(self, result: MaskView) -> str:
        count = len(result.tokens.names)
        name = result.tokens.names[result.query]
        blocks = {block for block, real in zip(result.blocks, result.tokens.pad, strict=True) if real}
        pairs = int(result.allow.sum())
        return (
            f"{count} tokens, the real ones in {len(blocks)} blocks | {pairs} of {count * count} pairs | "
            f"{name} sees {' '.join(result.seen) or self.said('nothing')} | "
            f"real tokens read padding in {result.reads_padding} pairs"
        )

    def rows(self, result: MaskView) -> Sequence[Sequence[str]]:
        tokens = result.tokens
        lines: list[Sequence[str]] = [("token", "pad", "att", "block", "position", "sees")]
        for i, name in enumerate(tokens.names):
            sees = "".join("1" if allowed else "·" for allowed in result.allow[i].tolist())
            numbers = (tokens.pad[i], tokens.att[i], result.blocks[i], result.positions[i])
            lines.append((Own(name), *(str(number) for number in numbers), sees))
        return lines


def read_flags(name: str, text: str, default: tuple[int, ...]) -> tuple[int, ...]:
    """Flags as a person writes them; an empty text gives the default.

    >>> read_flags("att", "0, 0 1", (0, 0, 0)), read_flags("att", "001", (0, 0, 0)), read_flags("att", " ", (1, 0))
    ((0, 0, 1), (0, 0, 1), (1, 0))
    """
    digits = re.sub(r"[\s,;]+", "", text)
    if not digits:
        return default
    if set(digits) - set("01") or len(digits) != len(default):
        raise InputError(
            f"{name} flags", found=repr(text), expected=f"{len(default)} numbers, each 0 or 1", fix="One per token."
        )
    return tuple(int(digit) for digit in digits)
