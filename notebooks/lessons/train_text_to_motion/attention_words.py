"""Which words does the decoder look at, and do they matter?

Two answers that need not agree. *Attention*: the weights of the motion tokens on the text slots. *Influence*:
how much harder the true tokens are to predict after one word was replaced by a word of another caption. Only the second
one is an experiment: attention says where a layer reads, not what it does with what it reads (Jain and Wallace,
"Attention is not Explanation", arXiv:1902.10186).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from motionlab.data.splits import Clips
from motionlab.jobs.run_folder import Run
from motionlab.llama.masks import prefix_mask
from motionlab.llama.model import Attention, MotionLlama
from motionlab.llama.rope import apply_rope
from motionlab.llama.sequence import IGNORE, Sequences, build_sequences
from motionlab.text.cache import TextCache
from motionlab.text.minilm import minilm_folder
from motionlab.text.transformers_loading import quiet_loading, transformers_module

DRAWS = 3  # other words that are tried in the place of each word
START, END = "[start]", "[end]"  # the marks that the encoder puts around a caption


# ---- attention -------------------------------------------------------------------------------------------------------
@torch.no_grad()
def attention_maps(model: MotionLlama, batch: Sequences) -> Tensor:
    """Every attention weight, `[layers, B, H, S, S]`: row i is how position i divides its attention.

    The model's own kernel never shows them, so they are computed again from the input of each layer.
    """
    seen: list[tuple[Attention, tuple[Any, ...]]] = []

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(module, Attention)
        seen.append((module, inputs))

    handles = [block.attn.register_forward_pre_hook(note) for block in model.blocks]  # type: ignore[union-attr]
    mask = prefix_mask(batch.text_mask, batch.tokens.shape[1])
    try:
        model.hidden(batch.tokens, batch.text, batch.text_mask, mask)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([_weights(attention, *inputs[:3]) for attention, inputs in seen])


def _weights(attention: Attention, x: Tensor, turn: Tensor, mask: Tensor) -> Tensor:
    heads, groups = attention.n_head, attention.n_kv_heads
    qkv = attention.c_attn(x).unflatten(-1, (heads + 2 * groups, attention.head_dim))  # [B, S, H+2G, hd]
    query, key, _ = qkv.split((heads, groups, groups), dim=2)
    if attention.q_norm is not None and attention.k_norm is not None:
        query, key = attention.q_norm(query), attention.k_norm(key)
    query, key = apply_rope(torch.cat([query, key], dim=2), turn).split((heads, groups), dim=2)
    key = key.repeat_interleave(heads // groups, dim=2)  # [B, S, H, hd]: each query head with its key head
    scores: Tensor = torch.einsum("bihd,bjhd->bhij", query.float(), key.float()) / attention.head_dim**0.5
    return scores.masked_fill(~mask, float("-inf")).softmax(-1)  # [B, H, S, S]


@dataclass(frozen=True)
class WordAttention:
    """How the motion tokens of one clip read its caption.

    Fields:
        words: the words, with the two marks around them.
        weights: `[n, words]`, mean over layers and heads; a row does not sum to 1, the rest goes to the motion before.
    """

    words: list[str]
    weights: Tensor

    @property
    def by_word(self) -> Tensor:
        """Mean over the motion tokens, `[words]`."""
        return self.weights.mean(0)


def word_attention(run: Run, caption: str, codes: Tensor, layer: int | None = None) -> WordAttention:
    """The attention of the motion tokens `codes [n]` over the words of a caption.

    Args:
        layer: of one layer; None is the mean over all.
    """
    features = run.text.features([caption])
    batch = build_sequences([codes], features, run.llama.codebook_size, run.llama.max_length)
    maps = attention_maps(run.llama, batch)[:, 0].mean(1)  # [layers, S, S]
    rows = maps.mean(0) if layer is None else maps[layer]
    width = int(features.mask.sum())
    words, owner = word_slots(caption)
    over_slots = rows[width : width + len(codes), :width]  # [n, W]
    over_words = over_slots.new_zeros(len(codes), len(words)).index_add(1, torch.tensor(owner), over_slots)
    return WordAttention(words, over_words)


@lru_cache(maxsize=1)
def _pieces() -> Any:
    transformers = transformers_module("split captions into word pieces")
    with quiet_loading():
        return transformers.AutoTokenizer.from_pretrained(minilm_folder(), local_files_only=True)


def word_slots(caption: str) -> tuple[list[str], list[int]]:
    """The words of a caption between the two marks, and for every text slot of MiniLM the word it belongs to.

    >>> word_slots("a human cartwheels")  # the last word has three pieces, so three slots
    (['[start]', 'a', 'human', 'cartwheels', '[end]'], [0, 1, 2, 3, 3, 3, 4])
    """
    words = caption.split()
    ends, at = [], 0
    for word in words:
        at = caption.index(word, at) + len(word)
        ends.append(at)
    offsets = _pieces()(caption, return_offsets_mapping=True)["offset_mapping"]
    owner = [1 + sum(end <= begin for end in ends) for begin, _ in offsets[1:-1]]
    return [START, *words, END], [0, *owner, len(words) + 1]


# ---- influence -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Replacer:
    """Replaces words by words of other captions. It keeps its features in memory: nothing else needs them."""

    vocabulary: tuple[str, ...]
    texts: TextCache

    @classmethod
    def of(cls, run: Run, store: Clips) -> Replacer:
        """The vocabulary is every word of the first captions of a store."""
        words = {word for i in range(len(store)) for word in store.captions(i)[0].split()}
        return cls(tuple(sorted(words)), TextCache(None, run.text.encoder))

    def variants(self, caption: str, seed: int, draws: int = DRAWS) -> list[str]:
        """`draws` captions for each word, in order: the word replaced by another one."""
        random, words = np.random.default_rng(seed), caption.split()
        changed = []
        for place, word in enumerate(words):
            others = [other for other in self.vocabulary if other != word]
            for other in random.choice(others, size=draws, replace=False):
                changed.append(" ".join([*words[:place], str(other), *words[place + 1 :]]))
        return changed


@torch.no_grad()
def word_influence(run: Run, caption: str, codes: Tensor, replacer: Replacer, seed: int = 0) -> Tensor:
    """How many nats per token the true codes `[n]` become harder to predict when a word is replaced, `[words]`.

    The mean over `DRAWS` other words. The two marks are no words and are not replaced.
    """
    captions = [" ".join(caption.split()), *replacer.variants(caption, seed)]
    features = replacer.texts.features(captions)
    batch = build_sequences([codes] * len(captions), features, run.llama.codebook_size, run.llama.max_length)
    logits = run.llama(batch.tokens, batch.text, batch.text_mask).float()  # [variants, S, K+1]
    nats = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE, reduction="none"
    )
    loss = nats.view(len(captions), -1).sum(1) / (len(codes) + 1)  # [variants], END counted
    return (loss[1:] - loss[0]).view(-1, DRAWS).mean(1)


@dataclass(frozen=True)
class WordReport:
    """Attention and influence over the captions of many clips.

    Fields:
        on_text: mean share of a motion token's attention that goes to the text; on_marks: to the two marks.
        correlations: Spearman's rank correlation of the words' attention and influence, one number per caption.
        influence: word -> mean influence in nats per token, of words that occur in at least three captions.
        attention: the same words -> mean attention.
    """

    on_text: float
    on_marks: float
    correlations: list[float]
    influence: dict[str, float]
    attention: dict[str, float]


def words_report(run: Run, store: Clips, clips: Sequence[int], least: int = 3) -> WordReport:
    """Measure both for the first captions and the true tokens of some clips."""
    tokenizer, normalizer = run.tokenizer(), run.normalizer
    tokens = tokenizer.encode_clips([normalizer.normalize(store.features(i)) for i in clips])
    replacer = Replacer.of(run, store)
    on_text, on_marks, correlations = list[float](), list[float](), list[float]()
    found: dict[str, list[tuple[float, float]]] = {}
    for i, codes in zip(clips, tokens, strict=True):
        caption = store.captions(i)[0]
        view = word_attention(run, caption, codes)
        influence = word_influence(run, caption, codes, replacer, seed=i)
        attention = view.by_word[1:-1]
        on_text.append(float(view.by_word.sum()))
        on_marks.append(float(view.by_word[0] + view.by_word[-1]))
        correlations.append(round(rank_correlation(attention.numpy(), influence.numpy()), 4))
        for word, a, b in zip(view.words[1:-1], attention.tolist(), influence.tolist(), strict=True):
            found.setdefault(word.strip(".,;"), []).append((a, b))
    often = {word: np.mean(pairs, axis=0) for word, pairs in sorted(found.items()) if len(pairs) >= least}
    return WordReport(
        on_text=round(float(np.mean(on_text)), 4),
        on_marks=round(float(np.mean(on_marks)), 4),
        correlations=correlations,
        influence={word: round(float(mean[1]), 4) for word, mean in often.items()},
        attention={word: round(float(mean[0]), 5) for word, mean in often.items()},
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; ties share their mean rank. 0 when one side does not vary.

    >>> round(rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([0.1, 0.2, 0.3])), 6)
    1.0
    """
    first, second = (_ranks(values) for values in (a, b))
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: np.ndarray = ((last - counts + 1 + last) / 2)[inverse]
    return ranks
