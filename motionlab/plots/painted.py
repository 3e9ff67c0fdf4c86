"""What a training strategy does to a batch, painted token by token: what the model reads, and what it must predict.

A pure function makes the picture's data with the package's own functions (`llama/objectives/corruption.py`); only the
motions are toys. The model's own codes, which scheduled sampling needs, come from a perfect model of the toy: it knows
the odds by which the toy was made, and draws from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.objectives.corruption import KeepRate, corrupt_codes, keep_rates, mask_codes, mix_codes
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.text.encoder import TextFeatures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["teacher forcing", "random replacement", "scheduled sampling", "masked modelling"]
KINDS: tuple[Kind, ...] = ("teacher forcing", "random replacement", "scheduled sampling", "masked modelling")

CODES = 12  # codes of the toy
STEPS_ODDS = (0.1, 0.7, 0.2)  # the toy's next code is the same, the next one, or the one after that
CLIPS = ((3, 16), (5, 12), (2, 17), (4, 9))  # text slots and codes of the clips that are painted

# What a slot holds, in the order of the legend.
STATES = ("text", "kept", "replaced", "own", "MASK", "END", "PAD")
COLOURS = ("#d0d7de", "#b6d7ff", "#f7a072", "#c9a4f5", "#57606a", "#8ddb8c", "#ffffff")


@dataclass(frozen=True)
class Painted:
    """One batch under one strategy.

    Fields:
        true, read: int64 `[B, S]`: the batch, and what the model reads instead.
        states: int64 `[B, S]`, entries of STATES.
        predicted: int64 `[B, S]`: the token that each place must predict, or IGNORE.
        rates: the chance that a code is kept, one a row (for masked modelling: the share that is not masked).
    """

    true: Tensor
    read: Tensor
    states: Tensor
    predicted: Tensor
    rates: list[float]

    def count(self, state: str) -> int:
        """How many slots are in a state."""
        return int((self.states == STATES.index(state)).sum())

    @property
    def n_codes(self) -> int:
        """Slots that hold a motion code."""
        return int((self.true < CODES).sum())

    @property
    def n_predicted(self) -> int:
        """Places that the loss counts."""
        return int((self.predicted != IGNORE).sum())


def toy_clip(length: int, generator: torch.Generator) -> Tensor:
    """A walk through a cycle of codes, as the phases of a gait follow one another: int64 `[length]`."""
    moves = torch.multinomial(torch.tensor(STEPS_ODDS), length, replacement=True, generator=generator)
    return moves.cumsum(0) % CODES


def toy_sequences(seed: int = 0, clips: tuple[tuple[int, int], ...] = CLIPS, text_dim: int = 4) -> Sequences:
    """A batch of toy clips; the text features are zeros."""
    generator = torch.Generator().manual_seed(seed)
    codes = [toy_clip(length, generator) for _, length in clips]
    text = TextFeatures.from_rows([torch.zeros(width, text_dim) for width, _ in clips])
    return build_sequences(codes, text, CODES)


def toy_own(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """What the perfect model writes at each place, given the true code before it: int64 `[B, S]`."""
    moves = torch.multinomial(torch.tensor(STEPS_ODDS), tokens.numel(), replacement=True, generator=generator)
    before = tokens.roll(1, 1)
    own = (torch.where(before < CODES, before, 0) + moves.view_as(tokens)) % CODES
    return torch.where(tokens < CODES, own, tokens)


def paint(kind: Kind, keep: float = 0.5, per: KeepRate = "fixed", seed: int = 0) -> Painted:
    """Apply a strategy to the toy batch.

    Args:
        keep, per: as in `keep_rates`; masked modelling and teacher forcing do not use them.

    Raises:
        InputError: a kind that does not exist.

    >>> paint("teacher forcing").count("replaced"), paint("random replacement", keep=0.0).count("kept")
    (0, 0)
    """
    batch, generator = toy_sequences(), torch.Generator().manual_seed(seed)
    true, is_code = batch.tokens, batch.tokens < CODES
    states = torch.where(is_code, STATES.index("kept"), STATES.index("PAD"))
    states[true == CODES] = STATES.index("END")
    slots = torch.zeros_like(is_code)
    slots[:, : batch.text_mask.shape[1]] = batch.text_mask
    states[slots] = STATES.index("text")
    predicted, rates = batch.labels, torch.ones(len(true), 1)
    if kind == "teacher forcing":
        read = true
    elif kind == "masked modelling":
        read, masked = mask_codes(true, CODES, CODES + 2, generator)
        states[masked] = STATES.index("MASK")
        predicted = true.masked_fill(~masked, IGNORE)  # each place predicts itself
        rates = 1 - masked.sum(1, keepdim=True) / is_code.sum(1, keepdim=True)
    elif kind in ("random replacement", "scheduled sampling"):
        rates = keep_rates(keep, per, len(true), generator)
        random = kind == "random replacement"
        own = true if random else toy_own(true, generator)
        # The places are found by a run that replaces every chosen code by one that cannot occur.
        start = generator.get_state()
        chosen = mix_codes(true, torch.full_like(true, -1), rates, CODES, generator) == -1
        generator.set_state(start)
        read = corrupt_codes(true, rates, CODES, generator) if random else mix_codes(true, own, rates, CODES, generator)
        states[chosen] = STATES.index("replaced" if random else "own")
    else:
        raise InputError("strategy", found=repr(kind), expected=", ".join(KINDS), fix="Choose one of these.")
    return Painted(true, read, states, predicted, rates[:, 0].tolist())


def painted_figure(view: Painted) -> Figure:
    """Two lines a clip: what the model reads, in colours, and below it what each place must predict.

    A framed code was drawn anew and happens to be the true one.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    rows, slots = view.states.shape
    figure = Figure(figsize=(0.36 * slots + 1.4, 0.92 * rows + 0.9), layout="constrained")
    axes = figure.subplots()
    for row in range(rows):
        top = 2.5 * row
        axes.imshow(
            view.states[row : row + 1].numpy(), cmap=ListedColormap(COLOURS), vmin=0, vmax=len(STATES) - 1,
            extent=(-0.5, slots - 0.5, top + 1, top), aspect="auto",
        )  # fmt: skip
        for slot in range(slots):
            state = STATES[int(view.states[row, slot])]
            word = {"text": "T", "MASK": "?", "END": "E", "PAD": ""}.get(state, str(int(view.read[row, slot])))
            colour = "white" if state == "MASK" else "#24292f"
            axes.text(slot, top + 0.5, word, ha="center", va="center", fontsize=8, color=colour)
            if state in ("replaced", "own") and view.read[row, slot] == view.true[row, slot]:
                axes.add_patch(Rectangle((slot - 0.44, top + 0.07), 0.88, 0.86, fill=False, linewidth=1.1))
            goal = int(view.predicted[row, slot])
            if goal != IGNORE:
                name = "E" if goal == CODES else str(goal)
                axes.text(slot, top + 1.45, name, ha="center", va="center", fontsize=7.5, color="#0550ae")
        axes.text(-0.8, top + 0.5, f"keep {view.rates[row]:.2f}", ha="right", va="center", fontsize=8)
        axes.text(-0.8, top + 1.45, "predict", ha="right", va="center", fontsize=7.5, color="#0550ae")
    axes.set_xlim(-0.5, slots - 0.5)
    axes.set_ylim(2.5 * rows - 0.4, -0.1)
    axes.set_axis_off()
    handles = [
        Patch(facecolor=colour, edgecolor="#8c959f", label=name) for name, colour in zip(STATES, COLOURS, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(STATES), frameon=False, fontsize=8)
    return figure
