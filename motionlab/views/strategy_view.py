"""The effect of a training strategy on a batch, token by token: what the model reads, and what it must predict.

The strategies are the package's own functions (`llama/objectives/corruption.py`); only the motions are toys. The
model's own codes, which scheduled sampling needs, come from a perfect model of the toy: it knows the odds by which the
toy was made, and draws from them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.objectives.corruption import KeepRate, corrupt_codes, keep_rates, mask_codes, replaced_codes
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.plots.strategy_view import STATES, Painted
from motionlab.runtime import random_generator
from motionlab.text.encoder import TextFeatures

Kind = Literal["teacher forcing", "random replacement", "scheduled sampling", "masked modelling"]
KINDS: tuple[Kind, ...] = ("teacher forcing", "random replacement", "scheduled sampling", "masked modelling")
CODES = 12  # codes of the toy
STEPS_ODDS = (0.1, 0.7, 0.2)  # the toy's next code is the same, the next one, or the one after that
CLIPS = ((3, 16), (5, 12), (2, 17), (4, 9))  # text slots and codes of the clips that are painted


def toy_clip(length: int, generator: torch.Generator) -> Tensor:
    """A walk through a cycle of codes, as the phases of a gait follow one another: int64 `[length]`."""
    moves = torch.multinomial(torch.tensor(STEPS_ODDS), length, replacement=True, generator=generator)
    return moves.cumsum(0) % CODES


def toy_sequences(seed: int = 0, clips: tuple[tuple[int, int], ...] = CLIPS, text_dim: int = 4) -> Sequences:
    """A batch of toy clips; the text features are zeros."""
    generator = random_generator(seed)
    codes = [toy_clip(length, generator) for _, length in clips]
    text = TextFeatures.from_rows([torch.zeros(width, text_dim) for width, _ in clips])
    return build_sequences(codes, text, CODES)


def toy_own(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """The code that the perfect model writes at each place, given the true code before it: int64 `[B, S]`."""
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
    batch, generator = toy_sequences(), random_generator(seed)
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
        start = generator.get_state()
        chosen = replaced_codes(true, rates, CODES, generator)
        generator.set_state(start)  # the random codes are put at the same places
        read = corrupt_codes(true, rates, CODES, generator) if random else torch.where(chosen, own, true)
        states[chosen] = STATES.index("replaced" if random else "own")
    else:
        raise InputError("strategy", found=repr(kind), expected=", ".join(KINDS), fix="Choose one of these.")
    return Painted(true, read, states, predicted, CODES, rates[:, 0].tolist())
