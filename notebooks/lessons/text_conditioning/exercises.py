"""Exercises of lesson 07, "how text reaches the decoder": references, and checks that name the mistake."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from motionlab.teaching.exercise import Exercise, register

FIRST_SENTINEL, FINISH, LOST = 99, 1, 55  # ids of the toys: sentinels 99, 98, 97 ...; END; a wrong answer


# ---- exercise 3: pooling ---------------------------------------------------------------------------------------------
def pool_text(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of the real tokens of each caption: states `[N, L, d]`, mask bool `[N, L]` -> `[N, d]`."""
    weights = mask.float()[..., None]  # [N, L, 1]
    return (states * weights).sum(1) / weights.sum(1)


def _diagnose_pool(function: Callable[..., Any]) -> str | None:
    states = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, False, False], [True, True, True, True], [True, False, False, False]])
    before = states.clone()
    pooled = function(states, mask)
    if not torch.equal(states, before):
        return "your function changed the states it was given. Multiply instead of writing into them."
    if not isinstance(pooled, Tensor) or pooled.shape != (3, 5):
        return f"the result should have one vector per caption, shape (3, 5), got {_form(pooled)}."
    expected = pool_text(states, mask)

    def same(other: Tensor) -> bool:
        return torch.allclose(pooled, other, atol=1e-6)

    if same(expected):
        return None
    if same(states.mean(1)):
        return "padding is in the mean: the same caption would get another vector in a batch with a longer one."
    if same((states * mask[..., None]).mean(1)):
        return "the sum is right, but you divide by the width of the batch. Divide by the number of real tokens."
    if same((states * mask[..., None]).sum(1)):
        return "this is the sum: a long caption gets a long vector. Divide by the number of real tokens."
    if same(states[:, 0]):
        return "this is the vector of the first token only."
    if same(states[mask].mean(0).expand(3, 5)):
        return "this is one mean over all captions: states[mask] forgets which caption a token is from."
    return "the vectors are not the means over the real tokens of each caption."


# ---- exercise 4: span corruption -------------------------------------------------------------------------------------
def span_target(ids: Sequence[int], mask: Sequence[bool]) -> list[int]:
    """The decoder's target: for each run that was cut out its sentinel (99, 98, ...) and its words; then one more
    sentinel, and END (1). `mask` is True where a word was cut out."""
    target, sentinel, inside = [], FIRST_SENTINEL, False
    for token, cut in zip(ids, mask, strict=True):
        if cut and not inside:
            target.append(sentinel)
            sentinel -= 1
        if cut:
            target.append(token)
        inside = cut
    return [*target, sentinel, FINISH]


def _diagnose_target(function: Callable[..., Any]) -> str | None:
    ids, mask = [10, 11, 12, 13, 14, 15], [False, True, True, False, True, False]
    target = function(list(ids), list(mask))
    if isinstance(target, Tensor):
        target = target.tolist()
    if not isinstance(target, (list, tuple)):
        return f"the result should be a list of ids, got {_form(target)}."
    target = list(target)
    if target == [99, 11, 98, 12, 97, 14, 96, 1]:
        return "two neighbouring words are ONE gap: a sentinel per run, not a sentinel per word."
    if target in ([99, 11, 12, 98, 14, 1], [99, 11, 12, 98, 14]):
        return "the closing sentinel is missing: after the last run comes one more (97 here), then END."
    if target == [99, 11, 12, 98, 14, 97]:
        return "END (1) is missing: without it the decoder never learns to stop."
    if target == [99, 11, 12, 99, 14, 99, 1]:
        return "every gap has the same sentinel: the decoder could not say which gap it means. Count down: 99, 98, 97."
    if target == [99, 11, 12, 100, 14, 101, 1]:
        return "T5's sentinels count DOWN from the highest id: 99, 98, 97."
    if target in ([10, 99, 13, 98, 15, 1], [10, 99, 13, 98, 15]):
        return "this is the encoder's input: what stays. The target is what was cut out."
    if target == [99, 10, 98, 13, 97, 15, 96, 1]:
        return "these are the words that stayed. True means cut out."
    if target != span_target(ids, mask):
        return f"for ids {ids} and mask {[int(flag) for flag in mask]} the target is {span_target(ids, mask)}."
    for other in ([True, False, True, False, False, True], [True] * 6, [False, False, False, False, False, True]):
        if list(function(list(ids), list(other))) != span_target(ids, other):
            return (
                f"with mask {[int(flag) for flag in other]} it should be {span_target(ids, other)}: "
                "look at runs at the beginning and at the end."
            )
    return None


# ---- exercise 1: the mask --------------------------------------------------------------------------------------------
def att_2d_mask(pad: Tensor, att: Tensor) -> Tensor:
    """Flags `[B, N]` to bool `[B, N, N]`, True where row i may look at column j."""
    block = att.cumsum(1)  # [B, N]
    earlier = block[:, None, :] <= block[:, :, None]  # [B, N, N]
    real = pad.bool()
    return earlier & real[:, None, :] & real[:, :, None]


def _diagnose_mask(function: Callable[..., Any]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    pad = (torch.rand(16, 7, generator=generator) < 0.8).long()
    att = (torch.rand(16, 7, generator=generator) < 0.5).long()
    mask = function(pad, att)
    if not isinstance(mask, Tensor) or mask.shape != (16, 7, 7):
        return f"for flags [16, 7] the result should have shape (16, 7, 7), got {_form(mask)}."
    if mask.dtype != torch.bool:
        return (
            f"the numbers are {mask.dtype}; attention takes a mask of numbers as something to ADD to the scores, so 0 "
            "and 1 would hide nothing. Return a bool mask."
        )
    right = att_2d_mask(pad, att)
    if torch.equal(mask, right):
        return None
    block, real = att.cumsum(1), pad.bool()
    shown, both = real[:, None, :], real[:, None, :] & real[:, :, None]
    earlier = block[:, None, :] <= block[:, :, None]
    wrong = {
        "the rows are columns: row i is the token that LOOKS, column j the one that is seen.": right.transpose(1, 2),
        "padding is forgotten: real tokens look at it.": earlier,
        "only one side of padding is hidden. Rows of padding should be empty as well, so that nobody relies on "
        "them.": earlier & shown,
        "the raw flags are compared. A flag says where a block STARTS; the number of the block is the running sum, "
        "att.cumsum(1).": (att[:, None, :] <= att[:, :, None]) & both,
        "a token does not see its own block: compare with <=, not with <.": (block[:, None, :] < block[:, :, None])
        & both,
        "a token sees only its own block: earlier blocks should be seen too.": (block[:, None, :] == block[:, :, None])
        & both,
        "this is the causal mask: tokens of one block do not see each other in both directions.": torch.ones(
            7, 7, dtype=torch.bool
        ).tril()
        & both,
        "the sum runs over the batch: cumsum(1) runs along the tokens.": (
            att.cumsum(0)[:, None, :] <= att.cumsum(0)[:, :, None]
        )
        & both,
    }
    for message, other in wrong.items():
        if torch.equal(mask, other):
            return message
    row = int((mask != right).flatten(1).any(1).nonzero()[0])
    return f"with pad {pad[row].tolist()} and att {att[row].tolist()} the mask is another one."


# ---- exercise 2: the cache -------------------------------------------------------------------------------------------
class ToyDecoder:
    """A substitute for a T5 decoder: it repeats its sentence word by word. Its text is in the cache, as in T5.

    `step(sentence, token, cache)` gives the next token and the cache. With `cache=None` it reads the sentence (the
    cross-attention keys); with a cache it continues from there and does not look at `sentence` again.
    """

    def __init__(self) -> None:
        self.read = 0  # how often a sentence was read

    def step(self, sentence: Sequence[int], token: int, cache: tuple[Any, ...] | None) -> tuple[int, tuple[Any, ...]]:
        if cache is None:
            self.read += 1
            cache = (tuple(sentence), 0)
        words, place = cache
        if place >= len(words):
            return FINISH, (words, place + 1)
        # The decoder must be given what it wrote: another token derails it.
        on_the_way = token == (words[place - 1] if place else 0)
        return (words[place] if on_the_way else LOST), (words, place + 1)


def answer_all(decoder: Any, sentences: Sequence[Sequence[int]]) -> list[list[int]]:
    """Greedy answers to several sentences: start each with token 0, feed back what was written, stop at END (1).

    END is not part of an answer. `decoder.step(sentence, token, cache)` gives the next token and the cache.
    """
    answers = []
    for sentence in sentences:
        cache, token, written = None, 0, []
        while True:
            token, cache = decoder.step(sentence, token, cache)
            if token == FINISH:
                break
            written.append(token)
        answers.append(written)
    return answers


class _Tired(Exception):
    """The function under test asked for more tokens than any right one."""


class _Watched(ToyDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def step(self, sentence: Sequence[int], token: int, cache: tuple[Any, ...] | None) -> tuple[int, tuple[Any, ...]]:
        self.calls += 1
        if self.calls > 60:
            raise _Tired
        return super().step(sentence, int(token), cache)


def _diagnose_answers(function: Callable[..., Any]) -> str | None:
    sentences, decoder = [[10, 11, 12], [20, 21], [30, 31, 32, 33]], _Watched()
    try:
        answers = function(decoder, sentences)
    except _Tired:
        if decoder.read > len(sentences):
            return (
                "it never stops: the cache is thrown away at every token, so the decoder starts over each time. Keep "
                "the cache that step() returns."
            )
        return "it never stops: leave the loop when the token is END (1)."
    if not isinstance(answers, list | tuple) or not all(isinstance(answer, list | tuple) for answer in answers):
        return "the result should be a list with one answer per sentence, and each answer a list of tokens."
    answers = [list(answer) for answer in answers]
    if answers == sentences:
        return None
    if len(answers) != len(sentences):
        return f"{len(answers)} answers for {len(sentences)} sentences."
    if answers[:1] == [[10, 11, 12]] and decoder.read == 1:
        return (
            "only the first answer is right: its cache was kept for the other sentences, which were never read. A new "
            "sentence needs cache = None."
        )
    if answers == [[*sentence, FINISH] for sentence in sentences]:
        return "END (1) is a part of your answers. Stop before you append it."
    if any(LOST in answer for answer in answers) and decoder.read > len(sentences):
        return (
            "the cache is thrown away within a sentence, so the decoder starts over: give each step() the cache that "
            "the one before it returned."
        )
    if any(LOST in answer for answer in answers):
        return "the decoder lost its way: give step() the token that it wrote last, and 0 only at the start."
    if list(itertools.chain(*answers)) and all(len(answer) <= 1 for answer in answers):
        return "each answer has one token: continue until END."
    return f"the answers should be {sentences}, got {answers}."


def _form(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


EXERCISES = register(
    Exercise(
        "text.pool_text",
        pool_text,
        _diagnose_pool,
        "A caption now gets the same vector whatever else is in its batch.",
        (
            "A mean is a sum divided by a number. Which tokens are in the sum, and which number is it?",
            "weights = mask.float()[..., None]; sum of states * weights over the tokens; divide by weights.sum(1).",
        ),
        form="states [N, L, d], mask bool [N, L] -> [N, d]",
    ),
    Exercise(
        "text.span_target",
        span_target,
        _diagnose_target,
        "This is all that T5 learns from before it ever meets a task.",
        (
            "Walk through the words. When does a new sentinel have to be written? Only where a run begins.",
            "Remember whether the word before was cut out. After the loop append the next sentinel and 1.",
        ),
        form="ids: list of ints, mask: list of as many bools -> list of ints",
    ),
    Exercise(
        "text.att_2d_mask",
        att_2d_mask,
        _diagnose_mask,
        "Three lines, and every mask of this lesson is one of its cases.",
        (
            "Give each token the number of its block first: how many blocks have started up to here?",
            "block = att.cumsum(1); block[:, None, :] <= block[:, :, None]; and with pad on both sides.",
        ),
        form="pad, att: int64 [B, N], 0 or 1 -> bool [B, N, N]",
    ),
    Exercise(
        "text.answer_all",
        answer_all,
        _diagnose_answers,
        "One cache a sentence: kept from token to token, dropped from sentence to sentence.",
        (
            "Two loops: over the sentences, and over the tokens of an answer. In which one does cache = None belong?",
            "for each sentence: cache, token = None, 0; then token, cache = decoder.step(...) until the token is 1.",
        ),
        form="sentences: list of lists of ints -> list of lists of ints",
    ),
)
