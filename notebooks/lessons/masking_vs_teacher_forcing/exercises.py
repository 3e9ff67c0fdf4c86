"""Exercises of lesson 08, "Masking or teacher forcing?": references, and checks that name the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, register

K = 50  # codes of the batches that the checks use
END, PAD = K, K + 1


def _tokens() -> Tensor:
    """Text slots (PAD), codes, END, PAD: int64 `[64, 40]`, with 2 to 5 text slots and 20 to 32 codes per row."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.full((64, 40), PAD)
    for row in range(64):
        width, count = 2 + row % 4, 20 + row % 13
        tokens[row, width : width + count] = torch.randint(K, (count,), generator=generator)
        tokens[row, width + count] = END
    return tokens


# ---- 1. random replacement -------------------------------------------------------------------------------------------
def corrupt(tokens: Tensor, keep: float, codebook_size: int) -> Tensor:
    """Replace each motion code by a random code with probability `1 - keep`; END, PAD and text slots stay."""
    replaced = (torch.rand(tokens.shape) >= keep) & (tokens < codebook_size)
    return torch.where(replaced, torch.randint(codebook_size, tokens.shape), tokens)


def _diagnose_corrupt(function: Callable[..., Any]) -> str | None:
    tokens = _tokens()
    before, is_code = tokens.clone(), tokens < K
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        all_kept, none_kept, most = function(tokens, 1.0, K), function(tokens, 0.0, K), function(tokens, 0.75, K)
    if not isinstance(most, Tensor) or most.shape != tokens.shape:
        return f"the result should be tokens of shape {tuple(tokens.shape)}, like the input."
    if not torch.equal(tokens, before):
        return "your function changed the batch that it was given: the labels are made of it. Work on a copy."
    if torch.equal(none_kept, tokens) and not torch.equal(all_kept, tokens):
        return "keep is the chance to STAY: with keep = 1 nothing changes, with keep = 0 every code is drawn again."
    changed = most != tokens
    if (changed & (tokens == END)).any():
        return "END was replaced: the model would learn that a motion continues after its end."
    if (changed & (tokens == PAD)).any():
        return "PAD or text slots were replaced. Only entries below codebook_size are motion codes."
    if not torch.equal(all_kept, tokens):
        return "with keep = 1 nothing may change: that is plain teacher forcing."
    drawn = none_kept[is_code]
    if int(drawn.max()) >= K or int(drawn.min()) < 0:
        return f"a drawn code is {int(drawn.max())}: draw from 0 to codebook_size - 1, so that no END or PAD comes in."
    if (drawn == tokens[is_code]).float().mean() > 0.5:
        return "with keep = 0 most codes are still the old ones: every code should be drawn again."
    if len(drawn.unique()) < K // 2:
        return f"only {len(drawn.unique())} different codes are drawn: draw one for EACH place of tokens."
    by_row = torch.stack([changed[row][is_code[row]].float().mean() for row in range(len(tokens))])
    if by_row.min() == 0 and by_row.max() > 0.9:
        return "whole rows are replaced and others not at all: decide for each place, with the shape of tokens."
    share = float(changed[is_code].float().mean())
    if abs(share - 0.75) < 0.05:
        return "with keep = 0.75 about 75 % of the codes change: keep is the chance to stay, not the chance to go."
    if abs(share - 0.25 * (K - 1) / K) > 0.04:
        return f"with keep = 0.75 about a quarter of the codes should change, got {share:.0%}."
    return None


# ---- 2. a rate for each clip -----------------------------------------------------------------------------------------
def rate_for_each_clip(lowest: float, batch: int) -> Tensor:
    """The chance that a code is kept, drawn for each clip between `lowest` and 1: `[batch, 1]`."""
    return lowest + (1 - lowest) * torch.rand(batch, 1)


def _diagnose_rates(function: Callable[..., Any]) -> str | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rates, again = function(0.4, 500), function(0.4, 500)
    if not isinstance(rates, Tensor):
        return f"the result should be a tensor, got {type(rates).__name__}."
    if rates.shape == (500,):
        return "shape (batch,) would be laid along the PLACES of [B, S], or fail. One rate per row is [batch, 1]."
    if rates.shape != (500, 1):
        return f"the result should have shape (batch, 1), one rate per row, got {tuple(rates.shape)}."
    if len(rates.unique()) == 1:
        return "all clips have the same rate: this is a rate per BATCH. Draw `batch` numbers."
    if torch.equal(rates, again):
        return "a second call gives the same rates: draw new ones at each call."
    if float(rates.min()) < 0.39:
        return f"a rate is {float(rates.min()):.2f}, below lowest = 0.4: stretch the draw to lowest ... 1."
    if float(rates.max()) > 1:
        return f"a rate is {float(rates.max()):.2f}: a chance cannot be above 1. The range has the length 1 - lowest."
    if float(rates.max()) < 0.95:
        return f"the largest of 500 rates is {float(rates.max()):.2f}: the range should reach 1, nothing replaced."
    if abs(float(rates.mean()) - 0.7) > 0.03:
        return f"the mean should be near 0.7 (even between 0.4 and 1), got {float(rates.mean()):.2f}."
    return None


# ---- 3. the labels of masked modelling -------------------------------------------------------------------------------
def masked_labels(tokens: Tensor, masked: Tensor) -> Tensor:
    """The label of each place: its own code where it is masked, -100 (nothing) everywhere else."""
    return torch.where(masked, tokens, -100)


def _diagnose_labels(function: Callable[..., Any]) -> str | None:
    tokens = torch.tensor([[PAD, PAD, 3, 7, 9, 4, END, PAD], [PAD, 8, 2, 6, END, PAD, PAD, PAD]])
    masked = torch.zeros_like(tokens, dtype=torch.bool)
    masked[0, [3, 5]] = masked[1, 1] = True
    before = tokens.clone()
    labels = function(tokens, masked)
    if not isinstance(labels, Tensor) or labels.shape != tokens.shape:
        return f"the result should have the shape of tokens, {tuple(tokens.shape)}."
    if not torch.equal(tokens, before):
        return "your function changed the tokens that it was given."
    right = masked_labels(tokens, masked)
    if torch.equal(labels.long(), right):
        return None
    if torch.equal(labels.long(), tokens):
        return "every place is a label: a place that is not masked can see its own code, so it would learn to copy it."
    if torch.equal(labels, torch.where(masked, -100, tokens)):
        return "this is the wrong way round: the loss counts the MASKED places and no other."
    if torch.equal(labels.roll(1, 1)[:, 1:], right[:, 1:]):
        return "the labels are shifted by one place. Only next-token training shifts; here each place predicts ITSELF."
    if torch.equal(labels, torch.where(masked, tokens, 0)):
        return "0 is a motion code: places without a label hold -100, which the loss leaves out."
    if torch.equal(labels, torch.where(masked | (tokens == END), tokens, -100)):
        return "END is a label here. It is never masked: the length is given, so it is not predicted."
    if (labels == K + 2).any():
        return "a label is MASK itself: the label is the code that was there before it was masked."
    return f"for tokens {tokens[0].tolist()} with places 3 and 5 masked: {right[0].tolist()}, got {labels[0].tolist()}."


# ---- 4. the schedule of unmasking ------------------------------------------------------------------------------------
def still_masked(length: int, look: int, looks: int) -> int:
    """How many of `length` codes are masked after look number `look` (from 1) of `looks`: a quarter of a cosine."""
    return int(length * math.cos(math.pi / 2 * look / looks)) if look < looks else 0


def _diagnose_schedule(function: Callable[..., Any]) -> str | None:
    counts = [function(100, look, 5) for look in range(1, 6)]
    right = [still_masked(100, look, 5) for look in range(1, 6)]
    if any(isinstance(count, Tensor) or float(count) != int(count) for count in counts):
        return "the result should be a whole number: codes are masked or not."
    if counts[-1] != 0:
        return f"after the last look {counts[-1]} codes are still masked: it must be 0, or the motion has holes."
    if counts == right:
        short = [function(3, look, 10) for look in range(1, 11)]
        if short != [still_masked(3, look, 10) for look in range(1, 11)]:
            return "right for 100 codes, but not for 3 codes in 10 looks: round down at every look."
        return None
    if counts == [100 - count for count in right] or counts[0] < counts[-1]:
        return "this counts the codes that are fixed. Asked for: those that are still masked."
    if counts == [round(100 * (1 - look / 5)) for look in range(1, 6)]:
        return "a straight line fixes too much at first, when nearly nothing is known yet. Use a quarter of a cosine."
    if counts == [int(100 * math.cos(math.pi / 2 * (look - 1) / 5)) for look in range(1, 5)] + [0]:
        return "this is one look late: after look 1 of 5 a fifth of the way is done, cos(pi/2 * 1/5)."
    if counts == [int(100 * (1 - math.sin(math.pi / 2 * look / 5))) for look in range(1, 6)]:
        return "1 - sin falls fast at first and slowly at the end. The cosine does the opposite: careful first."
    if counts == [math.ceil(100 * math.cos(math.pi / 2 * look / 5)) for look in range(1, 5)] + [0]:
        return "round down, not up: with few codes and many looks, rounding up fixes nothing at first."
    return f"100 codes in 5 looks: {right} still masked, got {counts}."


EXERCISES = register(
    Exercise(
        "strategies.corrupt",
        corrupt,
        _diagnose_corrupt,
        "The published code also replaces END and PAD; yours does not.",
        (
            "Two questions per place: is it a motion code (below codebook_size), and does the coin say that it goes?",
            "replaced = (torch.rand(tokens.shape) >= keep) & (tokens < codebook_size); then torch.where.",
        ),
        form="tokens int64 [B, S], keep: float, codebook_size: int -> int64 [B, S]",
    ),
    Exercise(
        "strategies.rate_for_each_clip",
        rate_for_each_clip,
        _diagnose_rates,
        "Some clips of each batch are now nearly clean and some nearly noise.",
        (
            "torch.rand gives numbers from 0 to 1. Which shape lets one number count for a whole row of [B, S]?",
            "lowest + (1 - lowest) * torch.rand(batch, 1).",
        ),
        form="lowest: float, batch: int -> [batch, 1]",
    ),
    Exercise(
        "strategies.masked_labels",
        masked_labels,
        _diagnose_labels,
        "A place that sees its own code must not predict it.",
        (
            "The loss leaves out labels of -100. Which places must be left out?",
            "torch.where(masked, tokens, -100); nothing is shifted.",
        ),
        form="tokens int64 [B, S], masked bool [B, S] -> int64 [B, S]",
    ),
    Exercise(
        "strategies.still_masked",
        still_masked,
        _diagnose_schedule,
        "Few codes are fixed while little is known, many when most is.",
        (
            "A quarter of a cosine starts at 1 with a flat slope and ends at 0 with a steep one.",
            "int(length * math.cos(math.pi / 2 * look / looks)); the last look is exactly 0.",
        ),
        form="three ints -> int",
    ),
)
