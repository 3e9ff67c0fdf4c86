"""A T5 small enough to train in seconds: encoder, decoder, sentinels and cache, all as in the large one.

The architecture is `transformers.T5ForConditionalGeneration` with small numbers; the weights are random until
`train_small_t5` has shown it captions by span corruption. It knows the words of those captions and nothing else, so it
is for understanding T5, not for encoding sentences that people type.

    encoder   reads the sentence with gaps, every token sees every token      -> one vector per token
    decoder   writes the missing words one by one; sees its own words so far, and (cross-attention) those vectors
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionlab.errors import InputError
from motionlab.runtime import random_generator, seeded
from motionlab.text.encoder import TextFeatures, check_captions, check_known, check_token_counts, encode_blocks
from motionlab.text.span_corruption import corrupt_spans, draw_spans, restore_spans
from motionlab.text.transformers_loading import quiet_loading, transformers_module
from motionlab.text.words import END, PAD, UNKNOWN, Words

IGNORE = -100
BLANK = "___"
LONGEST_ANSWER = 16


class Pairs(NamedTuple):
    """A batch of span corruption: `source`, `target` int64 `[B, L]`, `[B, M]`; `mask` bool `[B, L]`, True on words."""

    source: Tensor
    mask: Tensor
    target: Tensor  # IGNORE where there is no target


class Answer(NamedTuple):
    """Written by the decoder: ids without the start, and the cache (`past_key_values`) that it leaves behind."""

    ids: list[int]
    past_key_values: Any


class SmallT5:
    """Words and a small T5. It is also a text encoder, as in `TextEncoder`: its encoder gives one vector per word.

    Args:
        words: the tokenizer.
        dim: width of a vector; 4 heads share it.
        n_layer: blocks of the encoder, and as many of the decoder.
        seed: of the first weights.
        max_tokens: longest caption, END included.

    Raises:
        MissingExtra: transformers is not installed.
    """

    def __init__(self, words: Words, *, dim: int = 64, n_layer: int = 1, seed: int = 0, max_tokens: int = 48) -> None:
        transformers = transformers_module("build a small T5")
        self.words, self.dim, self.max_tokens = words, dim, max_tokens
        config = transformers.T5Config(
            vocab_size=words.size,
            d_model=dim,
            d_kv=dim // 4,
            num_heads=4,
            d_ff=2 * dim,
            num_layers=n_layer,
            dropout_rate=0.0,  # a few seconds of training do not overfit
            feed_forward_proj="relu",  # as in the first T5; flan-T5 has gated-gelu, which is slower at this size
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=PAD,  # T5 has no start mark: its decoder begins with padding
        )
        with seeded(seed), quiet_loading():
            self.model = transformers.T5ForConditionalGeneration(config).eval()

    @property
    def name(self) -> str:
        """Changes with the words and with every weight, so that a cache never mixes two trainings."""
        digest = hashlib.sha256("\n".join(self.words.names).encode())
        for tensor in self.model.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return f"small-t5-{self.dim}-{digest.hexdigest()[:8]}"

    @property
    def parameters(self) -> int:
        """How many parameters the model has; the shared word table counts once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @torch.no_grad()  # not inference_mode: a decoder may train on these features
    def encode(self, captions: Sequence[str]) -> TextFeatures:
        """Features of the captions from the encoder: `[N, L, dim]`.

        Raises:
            InputError: an empty caption, one over `max_tokens`, or one of mostly unknown words.
        """
        check_captions(captions)
        ids = [self.words.encode(caption) for caption in captions]
        check_token_counts(captions, [len(row) for row in ids], self.max_tokens)
        check_known(captions, ids, UNKNOWN, [END])

        def run(ids: Tensor, mask: Tensor) -> Tensor:
            states: Tensor = self.model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            return states

        return TextFeatures.from_rows(encode_blocks(ids, run))

    def loss(self, pairs: Pairs) -> Tensor:
        """Mean cross entropy, in nats, of the target's tokens. One pass; no cache is made.

        With `labels`, transformers shifts the targets by one for the decoder's input (teacher forcing).
        """
        loss: Tensor = self.model(
            input_ids=pairs.source, attention_mask=pairs.mask, labels=pairs.target, use_cache=False
        ).loss
        return loss

    @torch.inference_mode()
    def answer(self, source: Sequence[int], *, past_key_values: Any = None, use_cache: bool = True) -> Answer:
        """Write the target of one input, greedily, until END or `LONGEST_ANSWER` tokens.

        Args:
            source: ids of the sentence with sentinels, END included.
            past_key_values: a cache to continue with. None, the right value for every new sentence, starts a new one. A
                cache of another sentence holds that sentence's keys and values, in the cross-attention too: the new
                sentence is then not read at all.
            use_cache: False runs the whole answer again for each token, to check the cache.
        """
        ids = torch.tensor([list(source)])  # [1, L]
        encoded = self.model.encoder(input_ids=ids)
        written = [PAD]  # the decoder's start
        while len(written) <= LONGEST_ANSWER and written[-1] != END:
            read = written[-1:] if use_cache else written
            output = self.model(
                encoder_outputs=encoded,
                decoder_input_ids=torch.tensor([read]),
                past_key_values=past_key_values,
                use_cache=use_cache,
            )
            past_key_values = output.past_key_values
            written.append(int(output.logits[0, -1].argmax()))
        return Answer(written[1:], past_key_values)

    def fill(self, text: str, *, past_key_values: Any = None) -> str:
        """Fill the blanks `___` of a sentence; each may become several words.

        Raises:
            InputError: no blank, or more blanks than sentinels.
        """
        source = self.with_sentinels(text)
        written = self.answer(source, past_key_values=past_key_values).ids
        return self.words.decode(restore_spans(source, written, self.words))

    def with_sentinels(self, text: str) -> list[int]:
        """Ids of a sentence with sentinels 0, 1, ... in its blanks."""
        pieces = text.split(BLANK)
        if len(pieces) < 2:
            raise InputError("text", found=repr(text), expected=f"a blank {BLANK}", fix=f"Write {BLANK} for a word.")
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            ids += [self.words.sentinel(number - 1)] if number else []
            ids += self.words.encode(piece)[:-1]
        return [*ids, END]

    def save(self, folder: str | Path) -> None:
        """Write a T5 folder that `T5Folder` (and any program that reads T5) opens.

        Raises:
            InputError: the folder cannot be written.
        """
        self.words.save(folder)
        with quiet_loading():
            self.model.save_pretrained(folder)


def corrupt_batch(
    words: Words, captions: Sequence[str], generator: torch.Generator, *, rate: float = 0.2, mean_span: float = 1.3
) -> Pairs:
    """Cut new spans out of some captions and pad the result.

    The spans are shorter than T5's (0.15, 3.0): a caption has a dozen words, and single words are learned sooner.
    """
    sources, targets = [], []
    for caption in captions:
        ids = words.encode(caption)
        read, written = corrupt_spans(ids, draw_spans(len(ids) - 1, rate, mean_span, generator), words)
        sources.append(torch.tensor(read))
        targets.append(torch.tensor(written))
    lengths = torch.tensor([len(row) for row in sources])
    source = pad_sequence(sources, batch_first=True, padding_value=PAD)  # [B, L]
    target = pad_sequence(targets, batch_first=True, padding_value=IGNORE)  # [B, M]
    return Pairs(source, torch.arange(source.shape[1]) < lengths[:, None], target)


def train_small_t5(
    model: SmallT5,
    captions: Sequence[str],
    *,
    steps: int = 400,
    batch_size: int = 32,
    lr: float = 0.05,
    seed: int = 0,
    watch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train by span corruption, in place; the loss of every step.

    New captions and spans are drawn at each step. The optimizer is Adafactor, as in T5: its step is a share (`lr`) of
    the size of a matrix, and T5 begins with a word table whose numbers are 8 to 30 times as large as those of its other
    matrices. The share rises for 20 steps and falls linearly to nothing.  Shazeer and Stern, arXiv:1804.04235.

    Args:
        captions: of two or more words each.
        watch: called with step (from 1) and loss.

    Raises:
        InputError: no captions, an empty one, or one of a single word, from which nothing can be cut; no steps.
    """
    check_captions(captions)
    if steps < 1:
        raise InputError("steps", found=steps, expected="1 or more", fix="Train for a few steps.")
    generator = random_generator(seed)
    optimizer = torch.optim.Adafactor(model.model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 20, 1 - step / steps))
    model.model.train()
    losses = []
    for step in range(1, steps + 1):
        rows = torch.randint(len(captions), (batch_size,), generator=generator).tolist()
        loss = model.loss(corrupt_batch(model.words, [captions[row] for row in rows], generator))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if watch is not None:
            watch(step, losses[-1])
    model.model.eval()
    return losses
