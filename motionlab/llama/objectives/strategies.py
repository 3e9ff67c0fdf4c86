"""Training strategies: each takes a decoder and a batch, and returns the loss of one step.

    TeacherForcing      read the true codes, predict each next one
    RandomReplacement   the same, but some codes that are read are random
    ScheduledSampling   the same, but some codes that are read are the model's own; two passes
    MaskedModelling     read in both directions with some codes masked, predict those; for `generate_masked`

Label smoothing, an argument of all, is the control: it too makes a model less sure, without touching what it reads.
A strategy's random draws come from the seeds of the rows (`Sequences.draws`): a run that resumes draws the same, and so
does a row in another batch. (The codes that the model itself draws can differ where rounding moves a probability across
a drawn number; that happens about once in a million codes.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import draw
from motionlab.llama.masks import padding_mask, real_positions
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.corruption import (
    KeepRate,
    corrupt_codes,
    keep_rates,
    mask_codes,
    masked_counts,
    replaced_codes,
    uniform,
)
from motionlab.llama.objectives.cross_entropy import CHUNK_NUMBERS
from motionlab.llama.objectives.losses import TokenLosses, labelled_losses
from motionlab.llama.sequence import IGNORE, Sequences


class Strategy(Protocol):
    """One training step's loss."""

    def __call__(self, model: MotionLlama, batch: Sequences) -> TokenLosses:
        """Loss with gradient, and accuracy on what was to be predicted."""
        ...

    def count(self, batch: Sequences, codebook_size: int) -> int:
        """The tokens that this loss is a mean over: its weight when gradients are accumulated."""
        ...


@dataclass(frozen=True)
class TeacherForcing:
    """Predict every next code from the true ones: parallel and simple, but the model never sees a mistake."""

    label_smoothing: float = 0.0

    def __call__(self, model: MotionLlama, batch: Sequences) -> TokenLosses:
        return _next_token(model, batch, batch.tokens, self.label_smoothing)

    def count(self, batch: Sequences, codebook_size: int) -> int:
        """Every labelled token."""
        return batch.n_labels


@dataclass(frozen=True)
class RandomReplacement:
    """Predict every next true code after replacing some codes by random ones.

    `keep` and `per` as in `keep_rates`. Random codes are worse than the mistakes a model makes: it learns to mistrust
    its input, and which codes are usual neighbours.
    """

    keep: float
    per: KeepRate = "fixed"
    label_smoothing: float = 0.0

    def __call__(self, model: MotionLlama, batch: Sequences) -> TokenLosses:
        generator = batch.draws()
        keep = self.keep if self.per == "fixed" else keep_rates(self.keep, self.per, len(batch), generator)
        tokens = corrupt_codes(batch.tokens, keep, model.codebook_size, generator)
        return _next_token(model, batch, tokens, self.label_smoothing)

    def count(self, batch: Sequences, codebook_size: int) -> int:
        """Every labelled token."""
        return batch.n_labels


@dataclass(frozen=True)
class ScheduledSampling:
    """Predict every next true code after replacing some codes by those that the model itself would write.

    A first pass over the true codes, without gradient, gives the model's own draw for every place; a second pass reads
    the mixture. The mistakes are the model's, but each follows a true history: after one mistake the next code
    still comes from the truth.  Bengio et al., arXiv:1506.03099; in two passes Mihaylova and Martins, arXiv:1906.07651.
    """

    keep: float
    per: KeepRate = "fixed"
    label_smoothing: float = 0.0

    def __call__(self, model: MotionLlama, batch: Sequences) -> TokenLosses:
        generator = batch.draws()
        keep = keep_rates(self.keep, self.per, len(batch), generator)
        noise = uniform(batch.tokens.shape, generator)
        replaced = replaced_codes(batch.tokens, keep, model.codebook_size, generator)
        tokens = own_codes(model, batch, noise, replaced)
        return _next_token(model, batch, tokens, self.label_smoothing)

    def count(self, batch: Sequences, codebook_size: int) -> int:
        """Every labelled token."""
        return batch.n_labels


@dataclass(frozen=True)
class MaskedModelling:
    """Predict the masked codes from all others, before and after: BERT's task, with a share of masks that varies.

    The decoder needs `mask_token=True`. END is visible, so the length is given, as it is in `generate_masked`.
    """

    label_smoothing: float = 0.0

    def __call__(self, model: MotionLlama, batch: Sequences) -> TokenLosses:
        mask_token = needs_mask_token(model)
        tokens, masked = mask_codes(batch.tokens, model.codebook_size, mask_token, batch.draws())
        everyone = padding_mask(real_positions(batch.tokens, batch.text_mask, model.pad_token))  # [B, 1, S, S]
        labels = batch.tokens.masked_fill(~masked, IGNORE)  # not shifted: each place predicts itself
        hidden = model.hidden(tokens, batch.text, batch.text_mask, everyone, only=masked)  # [n_labels, dim]
        return labelled_losses(model, hidden, labels, self.label_smoothing)

    def count(self, batch: Sequences, codebook_size: int) -> int:
        """The codes that will be masked."""
        return int(masked_counts(batch.tokens < codebook_size, batch.draws()).sum())


def make_strategy(
    kind: Literal["next_token", "scheduled_sampling", "masked"],
    *,
    keep: float = 1.0,
    per: KeepRate = "fixed",
    label_smoothing: float = 0.0,
) -> Strategy:
    """The strategy of a config. "next_token" is TeacherForcing when every code is kept, else RandomReplacement.

    >>> make_strategy("next_token", keep=0.9)
    RandomReplacement(keep=0.9, per='fixed', label_smoothing=0.0)
    """
    if kind == "next_token":
        return TeacherForcing(label_smoothing) if keep == 1.0 else RandomReplacement(keep, per, label_smoothing)
    if kind == "scheduled_sampling":
        return ScheduledSampling(keep, per, label_smoothing)
    if kind == "masked":
        return MaskedModelling(label_smoothing)
    raise InputError(
        "strategy", found=repr(kind), expected="next_token, scheduled_sampling or masked", fix="Choose one of these."
    )


@torch.no_grad()
def own_codes(model: MotionLlama, batch: Sequences, noise: Tensor, where: Tensor) -> Tensor:
    """The tokens of a batch with some codes drawn anew by the model, given the true ones before them: int64 `[B, S]`.

    END cannot be drawn: the motion continues. At other places neither the last layer nor the logits are computed.

    Args:
        noise: uniform numbers in [0, 1), `[B, S]`, one for the draw at each place.
        where: bool `[B, S]`, the codes to draw.
    """
    before = where.roll(-1, dims=1)  # the state one place earlier predicts the code; slot 0 is text, never a code
    states = model.hidden(batch.tokens, batch.text, batch.text_mask, only=before)  # [m, dim]
    spots = noise.float().to(states.device)[where]  # [m]
    table = model.lm_head.weight[: model.codebook_size]  # [K, dim], without END
    chunk = max(1, CHUNK_NUMBERS // len(table))
    drawn = [
        draw((h @ table.T.to(h.dtype)).float().softmax(-1), part)
        for h, part in zip(states.split(chunk), spots.split(chunk), strict=True)
    ]
    tokens = batch.tokens.clone()
    tokens[where] = torch.cat(drawn)
    return tokens


def needs_mask_token(model: MotionLlama) -> int:
    """The MASK token of a decoder; InputError when it has none."""
    if model.mask_token is None:
        raise InputError(
            "model", found="no MASK token", expected="a decoder for masked modelling", fix="Build it with mask_token."
        )
    return model.mask_token


def _next_token(model: MotionLlama, batch: Sequences, tokens: Tensor, label_smoothing: float) -> TokenLosses:
    """The loss of predicting the true next codes while reading `tokens`."""
    hidden = model.hidden(tokens, batch.text, batch.text_mask, only=batch.labels != IGNORE)  # [n_labels, dim]
    return labelled_losses(model, hidden, batch.labels, label_smoothing)
