"""Writing motion codes one at a time, for a batch of prompts of different lengths.

Each row of the batch has its own text length, position, random numbers and end. A row therefore gives the same codes
alone and in company; tests hold this. `use_cache=False` is the plain way that the cached way must equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.sampling import Sampling, choose_tokens, sample_noise


@dataclass(frozen=True)
class Generated:
    """The codes of one sample (int64 `[n]`, on the CPU, without END) and why it stopped.

    `"limit"` means that the motion was cut at `max_tokens`: the model did not say that it was over.
    """

    tokens: Tensor
    stopped_by: Literal["end", "limit"]


def generate(
    model: MotionLlama,
    text: Tensor,
    text_mask: Tensor,
    sampling: Sampling,
    *,
    seeds: Sequence[int] | None = None,
    use_cache: bool = True,
) -> list[Generated]:
    """Generate one motion for each row of text.

    Args:
        text: `[B, W, text_dim]`; text_mask: `[B, W]`. They are moved to the model's device.
        seeds: one seed a row; None is `sampling.seed + row`.
        use_cache: False runs the whole sequence again for every token. Slow; it exists to check the cache.

    Raises:
        InputError: an empty text, text and `max_tokens` that do not fit in `max_length`, or not one seed a row.
    """
    device = model.llama_proj.weight.device
    text, text_mask = text.to(device), text_mask.to(device).bool()
    _check(model, text, text_mask, sampling)
    seeds = [sampling.seed + row for row in range(len(text))] if seeds is None else seeds
    if len(seeds) != len(text):
        raise InputError("seeds", found=f"{len(seeds)} seeds", expected=f"{len(text)}, one a prompt", fix="Add seeds.")
    noise = sample_noise(seeds, sampling.max_tokens).to(device)  # [B, max_tokens]
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            reader = _Cached(model, text, text_mask, sampling) if use_cache else _Plain(model, text, text_mask)
            tokens = _write(model, reader, noise, sampling).cpu()
    finally:
        model.train(training)
    return [_finish(row, model.end_token) for row in tokens.clone()]  # cloned out of inference mode


def _write(model: MotionLlama, reader: _Cached | _Plain, noise: Tensor, sampling: Sampling) -> Tensor:
    """The loop: `[B, up to max_tokens]`, filled with END after the end of a row."""
    batch = len(noise)
    written = torch.full((batch, sampling.max_tokens), model.end_token, device=noise.device)
    rows = torch.arange(batch, device=noise.device)  # rows of `written` that are still being written
    logits = reader.first()  # [B, K+1]
    for step in range(sampling.max_tokens):
        if step < sampling.min_tokens:
            logits[:, model.end_token] = float("-inf")
        chosen = choose_tokens(logits, noise[rows, step], sampling)  # [rows]
        written[rows, step] = chosen
        going = (chosen != model.end_token).nonzero()[:, 0]
        if len(going) == 0 or step + 1 == sampling.max_tokens:
            break
        if len(going) < len(rows):  # rows that have ended leave the batch
            rows, chosen = rows[going], chosen[going]
            reader.keep(going)
        logits = reader.next(chosen)
    return written


class _Cached:
    """Reads each token once; see `cache.py`."""

    def __init__(self, model: MotionLlama, text: Tensor, text_mask: Tensor, sampling: Sampling) -> None:
        self.model, self.text, self.text_mask = model, text, text_mask
        self.cache = model.new_cache(len(text), text.shape[1] + sampling.max_tokens)
        self.positions = text_mask.sum(1)  # [B]: where the next token of each row stands

    def first(self) -> Tensor:
        return self.model.prefill(self.text, self.text_mask, self.cache)

    def next(self, chosen: Tensor) -> Tensor:
        # One slot more than before is enough for every row: `used` starts at the longest text.
        self.cache.used += 1
        logits = self.model.step(chosen, self.positions, self.cache)
        self.positions = self.positions + 1
        return logits

    def keep(self, rows: Tensor) -> None:
        self.cache.select(rows)
        self.positions = self.positions[rows]


class _Plain:
    """Runs the whole sequence for every token: the definition of what `_Cached` must give."""

    def __init__(self, model: MotionLlama, text: Tensor, text_mask: Tensor) -> None:
        self.model, self.text, self.text_mask = model, text, text_mask
        self.tokens = torch.full(text_mask.shape, model.pad_token, device=text.device)  # [B, S]
        self.positions = text_mask.sum(1)

    def first(self) -> Tensor:
        rows = torch.arange(len(self.tokens), device=self.tokens.device)
        logits: Tensor = self.model(self.tokens, self.text, self.text_mask)  # [B, S, K+1]
        return logits[rows, self.positions - 1]

    def next(self, chosen: Tensor) -> Tensor:
        pad = self.tokens.new_full((len(self.tokens), 1), self.model.pad_token)
        self.tokens = torch.cat([self.tokens, pad], dim=1)
        self.tokens[torch.arange(len(chosen)), self.positions] = chosen
        self.positions = self.positions + 1
        return self.first()

    def keep(self, rows: Tensor) -> None:
        self.tokens, self.text, self.text_mask = self.tokens[rows], self.text[rows], self.text_mask[rows]
        self.positions = self.positions[rows]


def _finish(tokens: Tensor, end_token: int) -> Generated:
    ends = (tokens == end_token).nonzero()
    if len(ends) == 0:
        return Generated(tokens, "limit")
    return Generated(tokens[: int(ends[0])], "end")


def _check(model: MotionLlama, text: Tensor, text_mask: Tensor, sampling: Sampling) -> None:
    if text.dim() != 3 or text.shape[:2] != text_mask.shape or text.shape[2] != model.text_dim or len(text) == 0:
        raise InputError(
            "text",
            found=f"features {list(text.shape)} with mask {list(text_mask.shape)}",
            expected=f"[B, W, {model.text_dim}] with [B, W]",
            fix="Use the text encoder that the model was trained with.",
        )
    widths = text_mask.sum(1).tolist()
    slots = torch.arange(text_mask.shape[1], device=text_mask.device)
    if min(widths) == 0 or not torch.equal(text_mask, slots < text_mask.sum(1, keepdim=True)):
        raise InputError(
            "text_mask",
            found="a row without text, or with a gap",
            expected="one or more used slots at the start of every row",
            fix="Pass the features as the text encoder returns them.",
        )
    room = model.max_length - sampling.max_tokens - 1
    if max(widths) > room:
        raise InputError(
            "prompt",
            found=f"{max(widths)} tokens",
            expected=f"at most {room} (max_length {model.max_length} - max_tokens {sampling.max_tokens} - END)",
            fix="Shorten the prompt or lower max_tokens.",
        )
