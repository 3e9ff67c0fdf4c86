"""Ways to read what has been written and say what may come next. They give the same logits.

`first()` gives logits of the first code, `next(chosen)` those after one more code per row, `keep(rows)` continues with
some rows only (or with a row several times). `CachedReader` is the fast way, `CompiledReader` the same for a GPU,
`PlainReader` the definition, `GuidedReader` puts classifier-free guidance around any of them. `OnnxReader`, in
`engine/reader.py`, leaves the steps to another engine.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from motionlab.llama.decoding.fast.compiled import CompiledDecoder
from motionlab.llama.decoding.fast.flat_step import FlatDecoder, flat_decoder
from motionlab.llama.decoding.guidance import guide
from motionlab.llama.model import MotionLlama


class Reader(Protocol):
    """The part of a model that `generate` uses. Logits are `[rows, K + 1]`."""

    def first(self) -> Tensor:
        """Read the text."""
        ...

    def next(self, chosen: Tensor) -> Tensor:
        """Read one more code per row, int64 `[rows]`."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Continue with these rows, int64; a row may be named several times."""
        ...


class CachedReader:
    """Reads each token once, the text included; see `cache.py`."""

    def __init__(self, model: MotionLlama, text: Tensor, text_mask: Tensor, max_tokens: int) -> None:
        self.model, self.text, self.text_mask = model, text, text_mask
        self.cache = model.new_cache(len(text), text.shape[1] + max_tokens)
        # The flat way where it pays, else the modules: the same numbers.
        self.step = flat_decoder(model).step if FlatDecoder.fits(model) else model.step
        self.positions = text_mask.sum(1)  # [B]: the position of each row's next token

    def first(self) -> Tensor:
        return self.model.prefill(self.text, self.text_mask, self.cache)

    def next(self, chosen: Tensor) -> Tensor:
        self.cache.used += 1
        logits = self.step(chosen, self.positions, self.cache)
        self.positions = self.positions + 1
        return logits

    def keep(self, rows: Tensor) -> None:
        self.cache.select(rows)
        self.positions = self.positions[rows]


class CompiledReader(CachedReader):
    """`CachedReader` whose steps are compiled. Shapes must stay, so ended rows are still read but not returned."""

    def __init__(self, model: MotionLlama, text: Tensor, text_mask: Tensor, max_tokens: int) -> None:
        super().__init__(model, text, text_mask, max_tokens)
        self.step = CompiledDecoder(model).step
        self.rows: Tensor | None = None  # rows of the cache that continue; None before the first step
        self.tokens = self.positions  # the last code of every row of the cache

    def next(self, chosen: Tensor) -> Tensor:
        if self.rows is None:
            self.rows, self.tokens = torch.arange(len(chosen), device=chosen.device), torch.zeros_like(chosen)
        self.tokens[self.rows] = chosen
        return super().next(self.tokens)[self.rows]

    def keep(self, rows: Tensor) -> None:
        if self.rows is None:
            super().keep(rows)
        else:
            self.rows = self.rows[rows]


class PlainReader:
    """Runs the whole sequence for every token: the definition of what `CachedReader` must give."""

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


class GuidedReader:
    """Classifier-free guidance around a reader of `2 n` rows: `n` with text, then the same `n` without."""

    def __init__(self, inner: Reader, rows: int, scale: float) -> None:
        self.inner, self.rows, self.scale = inner, rows, scale

    def first(self) -> Tensor:
        return guide(self.inner.first(), self.scale)

    def next(self, chosen: Tensor) -> Tensor:
        return guide(self.inner.next(torch.cat([chosen, chosen])), self.scale)

    def keep(self, rows: Tensor) -> None:
        self.inner.keep(torch.cat([rows, rows + self.rows]))
        self.rows = len(rows)
