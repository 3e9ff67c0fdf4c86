"""For lesson 06: how long one token takes, early and late in a motion, with the cache and without.

The time of a token does not depend on the weights, so they are random. Seconds differ from machine to machine
and from minute to minute: the lesson shows them and concludes nothing from them. Its conclusions rest on counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from motionlab.llama.decoding.next_logits import CachedReader, PlainReader, Reader
from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import Size
from motionlab.runtime import seeded

CODES, TEXT_DIM, PROMPT = 1024, 384, 16
SMALL = Size(n_layer=4, n_head=8, dim=128)
Condition = tuple[str, int, int]  # "cache" or "no cache", key-value heads, batch


@dataclass(frozen=True)
class Times:
    """Milliseconds of each token, median over the repeats: `milliseconds[t]` wrote token `t`."""

    way: str
    n_kv_heads: int
    batch: int
    milliseconds: list[float]

    def mean(self, first: int, last: int) -> float:
        """Mean of the tokens `first` to `last - 1`."""
        return statistics.fmean(self.milliseconds[first:last])


def time_tokens(reader: Reader, tokens: int) -> list[float]:
    """Milliseconds of each greedy token; the first one includes reading the text."""
    times, logits = [], None
    with torch.inference_mode():
        for _ in range(tokens):
            started = time.perf_counter()
            logits = reader.first() if logits is None else reader.next(logits.argmax(-1))
            times.append(1000 * (time.perf_counter() - started))
    return times


def measure_times(
    conditions: Sequence[Condition], *, tokens: int = 128, repeats: int = 3, size: Size = SMALL
) -> list[Times]:
    """Time every condition, in turns: what slows the machine down for a while hits all of them."""
    found: dict[Condition, list[list[float]]] = {condition: [] for condition in conditions}
    for repeat in range(repeats + 1):  # the first round warms up and is not kept
        for condition in conditions:
            times = time_tokens(make_reader(condition, tokens, size), tokens if repeat else min(tokens, 8))
            if repeat:
                found[condition].append(times)
    return [
        Times(*condition, [statistics.median(column) for column in zip(*rows, strict=True)])
        for condition, rows in found.items()
    ]


def make_reader(condition: Condition, tokens: int, size: Size = SMALL) -> Reader:
    """A decoder with random weights before random text, read in the way that the condition names."""
    way, groups, batch = condition
    with seeded(0):
        model = MotionLlama(CODES, **size._asdict(), text_dim=TEXT_DIM, n_kv_heads=groups).eval()
        text, mask = torch.randn(batch, PROMPT, TEXT_DIM), torch.ones(batch, PROMPT, dtype=torch.bool)
    return CachedReader(model, text, mask, tokens) if way == "cache" else PlainReader(model, text, mask)
