"""Lesson 07, "how text reaches the decoder": its captions, and what is measured on the small T5 and on MiniLM.

The exercises are in `exercises.py`; the experiment on captions and padding, which trains decoders for minutes,
is in `caption_choice.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lessons.text_conditioning.caption_choice import Measured, Point
from motionlab.data.composed.captions import compose_captions
from motionlab.data.composed.plan import usable_samples
from motionlab.data.composed.samples import load_samples
from motionlab.text.minilm import MiniLM
from motionlab.text.small_t5 import Answer, SmallT5
from motionlab.text.span_corruption import corrupt_spans
from motionlab.text.words import END, PAD, Words

N_HELD_OUT = 100


class Captions(NamedTuple):
    """Sentences to train a small T5 on, and others that it never sees."""

    train: list[str]
    held_out: list[str]


class Blank(NamedTuple):
    """A sentence with one word cut out: `source` is what the encoder reads, `word` the id that is missing."""

    source: list[int]
    word: int


def lesson_captions(count: int = 1500, seed: int = 0) -> Captions:
    """The bundled captions and `count` sentences about two actions, composed of the bundled phrases."""
    samples, random = usable_samples(load_samples()), np.random.default_rng(seed)
    captions = [caption for sample in samples for caption in sample.captions]
    for _ in range(count):
        first, last = random.choice(len(samples), 2, replace=False)
        phrases = [samples[first].phrases, samples[last].phrases]
        captions += compose_captions(phrases, random, count=1, mirrored=bool(random.random() < 0.5))
    captions = list(dict.fromkeys(captions))
    random.shuffle(captions)
    return Captions(captions[N_HELD_OUT:], captions[:N_HELD_OUT])


def blanks(words: Words, captions: Sequence[str], seed: int = 0) -> list[Blank]:
    """One word cut out of each caption, each word with the same chance."""
    generator, made = torch.Generator().manual_seed(seed), []
    for caption in captions:
        ids = words.encode(caption)
        place = int(torch.randint(len(ids) - 1, (), generator=generator))
        source, _ = corrupt_spans(ids, [i == place for i in range(len(ids) - 1)], words)
        made.append(Blank(source, ids[place]))
    return made


def right(model: SmallT5, asked: Blank, answer: Sequence[int]) -> bool:
    """Whether an answer is the missing word and nothing else, in T5's form."""
    return list(answer) == [model.words.sentinel(0), asked.word, model.words.sentinel(1), END]


def accuracy(model: SmallT5, asked: Sequence[Blank]) -> float:
    """Share of blanks that are filled with the original word."""
    return sum(right(model, blank, model.answer(blank.source).ids) for blank in asked) / len(asked)


def stale_accuracy(model: SmallT5, asked: Sequence[Blank]) -> float:
    """The same with the bug: every sentence gets the cache that the sentence before it left behind."""
    cache, hits = model.answer(asked[-1].source).past_key_values, 0
    for blank in asked:
        answer = model.answer(blank.source, past_key_values=cache)
        cache, hits = answer.past_key_values, hits + right(model, blank, answer.ids)
    return hits / len(asked)


def only_old_text(answer: Answer) -> Any:
    """A new cache for the decoder's own words, but with the text of an earlier answer: its cross-attention keys."""
    from transformers import DynamicCache, EncoderDecoderCache

    return EncoderDecoderCache(DynamicCache(), answer.past_key_values.cross_attention_cache)


def best_guess(words: Words, captions: Sequence[str], asked: Sequence[Blank]) -> float:
    """Share of blanks that the most frequent word of the captions would fill."""
    counts = Counter(token for caption in captions for token in words.encode(caption)[:-1])
    common = counts.most_common(1)[0][0]
    return sum(blank.word == common for blank in asked) / len(asked)


@torch.inference_mode()
def padded_accuracy(model: SmallT5, asked: Sequence[Blank], width: int, masked: bool) -> float:
    """Share of right words when every sentence is padded to `width`; `masked` False forgets the attention mask.

    Only the word itself is predicted, in one pass: the decoder is given its start and sentinel 0.
    """
    sources = torch.tensor([[*blank.source, *[PAD] * (width - len(blank.source))] for blank in asked])  # [N, width]
    mask = sources != PAD if masked else torch.ones_like(sources, dtype=torch.bool)
    start = torch.tensor([[PAD, model.words.sentinel(0)]]).expand(len(asked), 2)  # [N, 2]
    logits = model.model(input_ids=sources, attention_mask=mask, decoder_input_ids=start, use_cache=False).logits
    found = logits[:, -1].argmax(-1)  # [N]
    return float((found == torch.tensor([blank.word for blank in asked])).float().mean())


@torch.inference_mode()
def moved_by_padding(encoder: MiniLM, caption: str, extra: int) -> tuple[float, float]:
    """How far the features of a caption move when `extra` padding tokens follow: with the mask, and without.

    As a share of their own length, the mean over the tokens.
    """
    tokenizer, model = encoder._loaded
    ids = torch.tensor([tokenizer(caption)["input_ids"]])  # [1, l]
    count = ids.shape[1]
    padded = torch.nn.functional.pad(ids, (0, extra), value=tokenizer.pad_token_id)  # [1, l + extra]
    real = torch.arange(count + extra)[None] < count
    alone: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]  # [l, 384]
    moved = []
    for mask in (real.long(), torch.ones_like(padded)):
        states = model(input_ids=padded, attention_mask=mask).last_hidden_state[0, :count]  # [l, 384]
        moved.append(float(((states - alone).norm(dim=-1) / alone.norm(dim=-1)).mean()))
    return moved[0], moved[1]


def group(points: dict[Point, Measured], condition: str, clips: int) -> dict[int, Measured]:
    """The kept points of one condition and number of clips: seed -> what was measured."""
    chosen = {
        point.seed: measured
        for point, measured in points.items()
        if (point.condition, point.clips) == (condition, clips)
    }
    return dict(sorted(chosen.items()))


def caption_rows(
    points: dict[Point, Measured], names: Sequence[str], clips: int, conditions: Sequence[str]
) -> list[tuple[str, ...]]:
    """A table of the kept experiment for one number of clips: from the smallest to the largest over the seeds."""
    rows: list[tuple[str, ...]] = [(f"{clips:,} clips", *conditions)]
    for name in names:
        cells = []
        for condition in conditions:
            values = [getattr(measured, name) for measured in group(points, condition, clips).values()]
            cells.append(f"{min(values):.2f} to {max(values):.2f}")
        rows.append((name.replace("_", " "), *cells))
    return rows
