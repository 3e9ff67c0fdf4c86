"""How well does a decoder continue after its own codes? Exposure bias, as a curve.

In training, with teacher forcing, every code that is read is true. In use, every code that is read is the model's own.
`walk` measures both on held-out clips: it reads true codes up to a place, writes its own from there on, and notes at
every place how likely the true code was.

    start beyond the end     clean history: accuracy by position, as training sees it
    start 0                  own history from the first code on
    start 16, 24 ...         accuracy against the number of own codes read: 0, 1, 2 ...

A code that differs from the truth is not always a mistake: after a few own codes, the motion may be another good one.
So accuracy falls for every model, also for a perfect one. Compare how fast it falls for models that
were trained differently. Bengio et al., arXiv:1506.03099, describe the problem; Ranzato et al., arXiv:1511.06732, name
it exposure bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.decoding.next_logits import CachedReader
from motionlab.llama.decoding.sampling import Sampling, choose_tokens, sample_noise
from motionlab.llama.masks import padding_mask, real_positions
from motionlab.llama.model import MotionLlama
from motionlab.llama.objectives.strategies import needs_mask_token
from motionlab.llama.sequence import Sequences


@dataclass(frozen=True)
class Curve:
    """Measurements at each place.

    Fields:
        hits: how often the most likely code was the true one.
        nats: sum of minus the logarithm of the probability of the true code.
        count: clips that have a code at this place.
    """

    hits: Tensor
    nats: Tensor
    count: Tensor

    @property
    def accuracy(self) -> Tensor:
        """Share of true codes that were the most likely ones; NaN where no clip has a code."""
        return self.hits / self.count

    @property
    def loss(self) -> Tensor:
        """Nats per code; NaN where no clip has a code."""
        return self.nats / self.count

    def __len__(self) -> int:
        return len(self.count)

    def __add__(self, other: Curve) -> Curve:
        return Curve(self.hits + other.hits, self.nats + other.nats, self.count + other.count)

    def binned(self, width: int) -> Curve:
        """The same with `width` places per bin; an incomplete last bin is left out.

        >>> ones = torch.ones(5)
        >>> Curve(ones, ones, ones).binned(2).count
        tensor([2., 2.])
        """
        kept = len(self) // width * width
        hits, nats, count = (part[:kept].view(-1, width).sum(1) for part in (self.hits, self.nats, self.count))
        return Curve(hits, nats, count)


class Walker(Protocol):
    """Reads codes from left to right and says what may come next."""

    def logits(self) -> Tensor:
        """Of the next code, `[B, K]`; END is left out."""
        ...

    def write(self, codes: Tensor) -> None:
        """Read one more code per row, int64 `[B]`."""
        ...


class CausalWalker:
    """A decoder of next tokens, with its cache."""

    def __init__(self, model: MotionLlama, batch: Sequences, places: int) -> None:
        self.codes = model.codebook_size
        self.reader = CachedReader(model, batch.text, batch.text_mask.bool(), places)
        self.next = self.reader.first()  # [B, K+1]

    def logits(self) -> Tensor:
        return self.next[:, : self.codes]

    def write(self, codes: Tensor) -> None:
        self.next = self.reader.next(codes)


class MaskedWalker:
    """A decoder of masked modelling: unread codes are MASK. It sees where END is, so it knows the length."""

    def __init__(self, model: MotionLlama, batch: Sequences) -> None:
        self.model, self.batch = model, batch
        is_code = batch.tokens < model.codebook_size  # [B, S]
        self.tokens = batch.tokens.masked_fill(is_code, needs_mask_token(model))
        self.mask = padding_mask(real_positions(batch.tokens, batch.text_mask, model.pad_token))
        self.rows = torch.arange(len(batch), device=batch.tokens.device)
        self.place, self.last = batch.text_mask.sum(1), batch.text_mask.sum(1) + is_code.sum(1) - 1  # [B]

    def logits(self) -> Tensor:
        hidden = self.model.hidden(self.tokens, self.batch.text, self.batch.text_mask, self.mask)  # [B, S, dim]
        here = hidden[self.rows, self.place.minimum(self.last)]  # [B, dim]
        logits: Tensor = self.model.lm_head(here)[:, : self.model.codebook_size]
        return logits

    def write(self, codes: Tensor) -> None:
        inside = self.place <= self.last
        self.tokens[self.rows[inside], self.place[inside]] = codes[inside]
        self.place = self.place + 1


@torch.inference_mode()
def walk(
    model: MotionLlama,
    batch: Sequences,
    *,
    start: int,
    places: Iterable[int],
    sampling: Sampling,
    seed: int = 0,
) -> Curve:
    """Read true codes up to `start` and own codes from there on, and compare with the truth at some places.

    Args:
        batch: clips on the model's device, without random changes.
        start: the first code that the model writes itself. Beyond the last place, it writes none.
        places: where to note; the curve has one entry for each. With a decoder of masked modelling every look costs a
            whole pass, so fewer places are cheaper when nothing is written.
        sampling: how own codes are drawn; its `max_tokens` has no meaning here.
        seed: clip number b draws from the seed `seed + b`.

    Raises:
        InputError: no place.
    """
    noted = sorted(set(places))
    if not noted or noted[0] < 0:
        raise InputError("places", found=noted[:1], expected="numbers from 0 on", fix="For example range(64).")
    true, there = clip_codes(model, batch)  # [B, N]
    stop = min(noted[-1] + 1, true.shape[1])
    noise = sample_noise(range(seed, seed + len(batch)), stop).to(true.device)  # [B, stop]
    sums = torch.zeros(3, noted[-1] + 1)  # hits, nats, count
    training = model.training
    model.eval()
    try:
        walker: Walker = CausalWalker(model, batch, stop) if model.mask_token is None else MaskedWalker(model, batch)
        for place in range(stop):
            codes = true[:, place]
            if place >= start or place in noted:
                logits = walker.logits().float()  # [B, K]
                sums[:, place] = _note(logits, codes, there[:, place])
                codes = choose_tokens(logits, noise[:, place], sampling) if place >= start else codes
            if place + 1 < stop:
                walker.write(codes)
    finally:
        model.train(training)
    return Curve(*sums[:, noted])


def by_distance(
    model: MotionLlama, batch: Sequences, starts: Sequence[int], steps: int, sampling: Sampling, seed: int = 0
) -> Curve:
    """Entry d: what was noted after d own codes, over several places where the model began to write.

    Args:
        starts: true codes before the first own one.
        steps: entries of the curve.
    """
    parts = [
        walk(model, batch, start=at, places=range(at, at + steps), sampling=sampling, seed=seed + 1000 * at)
        for at in starts
    ]
    return sum(parts[1:], start=parts[0])


def clip_codes(model: MotionLlama, batch: Sequences) -> tuple[Tensor, Tensor]:
    """The codes of a batch from slot 0: int64 `[B, N]` (0 behind the end), and bool, where there is one."""
    is_code = batch.tokens < model.codebook_size  # [B, S]; never in a text slot
    lengths, width = is_code.sum(1), int(is_code.sum(1).max())
    there = torch.arange(width, device=batch.tokens.device) < lengths[:, None]  # [B, N]
    codes = torch.zeros_like(there, dtype=torch.long)
    codes[there] = batch.tokens[is_code]  # both run row by row
    return codes, there


def _note(logits: Tensor, codes: Tensor, there: Tensor) -> Tensor:
    """Hits, nats and count of one place, `[3]`."""
    nats = -logits.log_softmax(-1).gather(-1, codes[:, None])[:, 0]  # [B]
    hits = logits.argmax(-1) == codes
    return torch.stack([hits[there].sum(), nats[there].sum(), there.sum()]).float().cpu()
