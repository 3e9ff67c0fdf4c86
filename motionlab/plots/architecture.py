"""One drawing of the whole system. Each lesson shows it with its own part lit.

Two stages (MotionMillion, arXiv:2507.07095): the tokenizer turns motion into tokens and back, the decoder writes tokens
from a sentence. Around them stand what trains both, what judges the result, and the robot policy, which has a decoder's
parts and no tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from motionlab.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """One part of the drawing: the place of its middle, its size, and two lines of text (the second is small)."""

    x: float
    y: float
    width: float
    title: str
    note: str = ""
    height: float = 0.62


_STAGE_1, _STAGE_2, _ROBOT, _AROUND = 3.5, 2.35, 1.2, 0.15

PARTS = {
    "motion": Box(0.75, _STAGE_1, 1.2, "motion", "[T, 272], 30 fps"),
    "encoder": Box(2.45, _STAGE_1, 1.3, "encoder", "1-D convolutions"),
    "quantizer": Box(4.15, _STAGE_1, 1.3, "quantizer", "FSQ, VQ-VAE"),
    "tokens": Box(5.75, _STAGE_1, 1.36, "tokens", "[N], 7.5 or 15 a second"),
    "tokenizer decoder": Box(7.4, _STAGE_1, 1.3, "decoder", "1-D convolutions"),
    "new motion": Box(9.05, _STAGE_1, 1.2, "motion", "[T, 272]"),
    "caption": Box(0.75, _STAGE_2, 1.2, "caption", "many to a motion"),
    "text encoder": Box(2.45, _STAGE_2, 1.3, "text encoder", "T5, MiniLM"),
    "llama": Box(4.75, _STAGE_2, 2.5, "LLaMA decoder", "RoPE · GQA · SwiGLU · masks"),
    "sampling": Box(7.25, _STAGE_2, 1.6, "sampling", "temperature, guidance"),
    "pictures": Box(0.75, _ROBOT, 1.2, "pictures", "two views"),
    "geometry": Box(2.45, _ROBOT, 1.3, "geometry", "depth, points, pose"),
    "fusion": Box(4.75, _ROBOT, 2.5, "fusion with the sentence", "cross-attention, FiLM"),
    "action": Box(7.25, _ROBOT, 1.6, "action", "pose + gripper"),
    "training": Box(1.6, _AROUND, 2.9, "training", "schedule · precision · accumulation", 0.6),
    "hardware": Box(4.75, _AROUND, 2.5, "hardware", "memory · roofline · processes", 0.6),
    "evaluation": Box(7.95, _AROUND, 3.0, "evaluation", "judge · FID · physics · closed loop", 0.6),
}

_ROWS = (
    ("motion", "encoder", "quantizer", "tokens", "tokenizer decoder", "new motion"),
    ("caption", "text encoder", "llama", "sampling"),
    ("pictures", "geometry", "fusion", "action"),
)
_BANDS = ((_STAGE_1, "stage 1: tokenizer"), (_STAGE_2, "stage 2: decoder"), (_ROBOT, "the robot half"))
_LIT, _PLAIN, _EDGE = "#ffd36b", "#f3f4f6", "#9aa0a8"


def architecture_figure(*lit: str) -> Figure:
    """Return the drawing of the system with some of its parts lit.

    Args:
        lit: names of `PARTS`; without any, all are drawn alike.

    Raises:
        InputError: no such part.

    >>> figure = architecture_figure("quantizer")
    >>> [text.get_text() for text in figure.axes[0].texts][:2]
    ['stage 1: tokenizer', 'stage 2: decoder']
    """
    from matplotlib.figure import Figure

    for name in lit:
        if name not in PARTS:
            raise InputError("architecture", found=repr(name), expected=", ".join(PARTS), fix="Choose one of these.")
    figure = Figure(figsize=(7.6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0.0, 9.8), ylim=(-0.35, 4.2))
    axes.set_aspect("auto")
    axes.axis("off")
    for y, label in _BANDS:
        axes.text(0.15, y + 0.42, label, fontsize=7.5, color="#5f6670", style="italic")
    for row in _ROWS:
        for left, right in zip(row[:-1], row[1:], strict=True):
            _arrow(axes, _side(left, 1), _side(right, -1))
    # In training the decoder reads the tokens of real motion; in use it writes new ones, which become motion.
    tokens = PARTS["tokens"]
    _arrow(axes, (tokens.x - 0.25, _STAGE_1 - 0.31), (tokens.x - 0.25, _STAGE_2 + 0.31), "learns from")
    _arrow(axes, (PARTS["sampling"].x, _STAGE_2 + 0.31), (tokens.x + 0.45, _STAGE_1 - 0.31), "writes")
    for name, box in PARTS.items():
        _draw(axes, box, name in lit)
    return figure


def _side(name: str, direction: int) -> Point:
    """The middle of the right (1) or left (-1) edge of a box."""
    box = PARTS[name]
    return box.x + direction * box.width / 2, box.y


def _arrow(axes: Axes, start: Point, end: Point, label: str = "") -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": _EDGE, "lw": 1.1})
    if label:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(x + 0.1, y + 0.02, label, fontsize=6.5, color="#5f6670", va="center")


def _draw(axes: Axes, box: Box, lit: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (box.x - box.width / 2, box.y - box.height / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner, box.width, box.height, boxstyle="round,pad=0,rounding_size=0.08", linewidth=2.0 if lit else 1.0,
            edgecolor="#b7791f" if lit else _EDGE, facecolor=_LIT if lit else _PLAIN,
        )
    )  # fmt: skip
    axes.text(box.x, box.y + 0.1, box.title, fontsize=8.5, ha="center", va="center", weight="bold" if lit else "normal")
    axes.text(box.x, box.y - 0.15, box.note, fontsize=6, ha="center", va="center", color="#4a5058")
