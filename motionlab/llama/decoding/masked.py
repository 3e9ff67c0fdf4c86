"""Iterative parallel decoding: start with nothing but MASK, and keep what the model is surest of, a few at a time.

A decoder trained with `MaskedModelling` predicts all masked codes at once. One look would draw each of them without
knowing the others. So only the most confident draws stay, the rest is masked again, and the next look knows more.
Ten looks write 150 codes, where next-token decoding takes 150. There is no cache: every look changes every state.
Chang et al., "MaskGIT", arXiv:2202.04200; for motion Guo et al., "MoMask", arXiv:2312.00063.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from motionlab.config.fields import Section, seed_setting, setting
from motionlab.errors import InputError
from motionlab.llama.decoding.generate import Generated, check_lengths, check_logits, check_text
from motionlab.llama.decoding.guidance import guide
from motionlab.llama.decoding.sampling import Sampling, draw, token_probabilities
from motionlab.llama.masks import padding_mask
from motionlab.llama.model import MotionLlama
from motionlab.llama.null_text import with_null_rows
from motionlab.llama.objectives.strategies import needs_mask_token
from motionlab.runtime import random_generator


@dataclass(frozen=True, kw_only=True)
class MaskedSampling(Section):
    """How to decode in parallel."""

    NAME: ClassVar[str] = "sampling"

    steps: int = setting(
        10, "looks of the model, each of which fixes a code at least: as many looks as codes fix one each", at_least=1
    )
    temperature: float = setting(1.0, "of the draw of each code; near 0 is the most likely code", above=0)
    top_k: int | None = setting(None, "draw each code from the k most likely only; null is all", at_least=1)
    top_p: float | None = setting(
        None, "draw from the smallest set of codes whose probability reaches p; null is all", above=0, at_most=1
    )
    choice_noise: float = setting(
        0.0,
        "noise in the order in which codes are fixed, fading from this to 0; more gives more varied motions",
        at_least=0,
        at_most=1e6,
    )
    guidance: float = setting(
        1.0,
        "scale of classifier-free guidance; 1 is off. For models trained with text_drop; see `guidance.py`",
        at_least=0,
    )
    seed: int = seed_setting("motion number b of a call uses seed + b, whatever else is in the batch")


def masked_left(length: Tensor, step: int, steps: int) -> Tensor:
    """How many codes are still masked after look `step` (from 0) of `steps`: `floor(length * cos(pi/2 * done))`.

    But every look fixes a code while there is one, as in the published code; the cosine alone would waste the first
    looks of many. It falls ever faster, so it stays ahead of one code per look once it is.

    >>> [int(masked_left(torch.tensor(100), step, 5)) for step in range(5)]
    [95, 80, 58, 30, 0]
    >>> [int(masked_left(torch.tensor(3), step, 5)) for step in range(5)]
    [2, 1, 0, 0, 0]
    """
    if step + 1 == steps:
        return torch.zeros_like(length)
    cosine = (length * math.cos(math.pi / 2 * (step + 1) / steps)).floor().long()
    return torch.minimum(cosine, (length - step - 1).clamp(min=0))


def generate_masked(
    model: MotionLlama,
    text: Tensor,
    text_mask: Tensor,
    lengths: Sequence[int],
    sampling: MaskedSampling,
    *,
    seeds: Sequence[int] | None = None,
) -> list[Generated]:
    """Generate one motion of a given length for each row of text.

    Args:
        text: `[B, W, text_dim]`; text_mask: `[B, W]`. They are moved to the model's device.
        lengths: codes of each motion. The length is part of the question here; the answer has no END.
        seeds: one seed per row; None is `sampling.seed + row`.

    Raises:
        InputError: a decoder without MASK token, a bad text or length, or logits that are not numbers.
    """
    device, mask_token = model.llama_proj.weight.device, needs_mask_token(model)
    text, text_mask = text.to(device), text_mask.to(device).bool()
    check_text(model, text, text_mask, max(lengths, default=1))
    check_lengths(lengths, len(text), model.max_length)
    seeds = [sampling.seed + row for row in range(len(text))] if seeds is None else seeds
    if len(seeds) != len(text):
        raise InputError(
            "seeds", found=f"{len(seeds)} seeds", expected=f"{len(text)}, one per prompt", fix="Add seeds."
        )
    looks = min(sampling.steps, max(lengths))  # then nothing is masked any more
    noise = _noise(seeds, lengths, looks).to(device)  # [B, looks, 2, N]
    one_code = Sampling(max_tokens=1, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p)
    length = torch.tensor(lengths, device=device)
    inside = torch.arange(max(lengths), device=device) < length[:, None]  # [B, N]
    codes = torch.full(inside.shape, mask_token, device=device)  # [B, N]
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            look = _Looker(model, text, text_mask, inside, sampling.guidance)
            for step in range(looks):
                masked = (codes == mask_token) & inside
                logits = look(codes).float()  # [B, N, K]
                check_logits(logits[inside], step)
                probability = token_probabilities(logits, one_code)  # [B, N, K]
                drawn = draw(probability.flatten(0, 1), noise[:, step, 0].flatten()).view_as(codes)  # [B, N]
                # Without the temperature: near 0 it would make every draw equally sure.
                confidence = logits.log_softmax(-1).gather(-1, drawn[..., None])[..., 0]  # [B, N]
                fading = sampling.choice_noise * (1 - (step + 1) / sampling.steps)
                confidence = confidence - fading * (-noise[:, step, 1].clamp(1e-9).log()).log()  # plus Gumbel noise
                # The least confident of the masked places come first; what is fixed or outside never goes back.
                rank = confidence.masked_fill(~masked, float("inf")).argsort(1).argsort(1)
                again = masked & (rank < masked_left(length, step, sampling.steps)[:, None])
                codes = torch.where(masked & ~again, drawn, codes)
    finally:
        model.train(training)
    rows = codes.cpu().clone()  # cloned out of inference mode
    return [Generated(row[:count], "length") for row, count in zip(rows, lengths, strict=True)]


class _Looker:
    """Logits of all codes `[B, N, K]`: lays `[text][codes][END]` out for every row and looks in both directions."""

    def __init__(self, model: MotionLlama, text: Tensor, text_mask: Tensor, inside: Tensor, guidance: float) -> None:
        self.model, self.guidance = model, guidance
        if guidance != 1.0:
            text, text_mask, inside = *with_null_rows(text, text_mask), torch.cat([inside, inside])
        widths, lengths = text_mask.sum(1), inside.sum(1)
        self.text, self.text_mask, self.inside = text, text_mask, inside
        self.rows = torch.arange(len(text), device=text.device)[:, None]  # [R, 1]
        slots = torch.arange(inside.shape[1], device=text.device)  # [N]
        self.places = widths[:, None] + slots.minimum(lengths[:, None])  # [R, N]; outside all point at END
        total = int((widths + lengths).max()) + 1
        self.empty = torch.full((len(text), total), model.pad_token, device=text.device)  # [R, S]
        self.empty[self.rows[:, 0], widths + lengths] = model.end_token
        used = torch.arange(total, device=text.device) <= (widths + lengths)[:, None]
        self.mask = padding_mask(used)  # [R, 1, S, S]

    def __call__(self, codes: Tensor) -> Tensor:
        if self.guidance != 1.0:
            codes = torch.cat([codes, codes])
        tokens = self.empty.clone()
        tokens[self.rows, self.places] = torch.where(self.inside, codes, self.model.end_token)
        hidden = self.model.hidden(tokens, self.text, self.text_mask, self.mask)  # [R, S, dim]
        logits: Tensor = self.model.lm_head(hidden[self.rows, self.places])[..., : self.model.codebook_size]
        return logits if self.guidance == 1.0 else guide(logits, self.guidance)


def _noise(seeds: Sequence[int], lengths: Sequence[int], looks: int) -> Tensor:
    """Uniform numbers `[B, looks, 2, N]`; those of a row depend on its seed and length only."""
    noise = torch.zeros(len(seeds), looks, 2, max(lengths))
    for row, (seed, length) in enumerate(zip(seeds, lengths, strict=True)):
        noise[row, ..., :length] = torch.rand(looks, 2, length, generator=random_generator(seed))
    return noise
