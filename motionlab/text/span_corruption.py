"""Span corruption: how T5 learns from sentences alone.

Some runs of words are cut out. Each leaves one sentinel behind, and the target lists what every sentinel replaced:

    sentence   a person walks forward and then sits down
    input      a person <0> and then <1> down </s>
    target     <0> walks forward <1> sits <2> </s>          the last sentinel closes the list

The input is shorter than the sentence and the target far shorter: that makes it cheaper than predicting everything.
Raffel et al., "T5", arXiv:1910.10683, section 3.1.4 and figure 2; there 15 % of the tokens go, 3 per run on average.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from motionlab.errors import InputError
from motionlab.text.words import END, Words


def draw_spans(length: int, rate: float, mean_span: float, generator: torch.Generator) -> list[bool]:
    """Which of `length` tokens to cut out: True for about `rate` of them, in runs of about `mean_span`.

    At least one token goes and at least one stays. Two runs never touch: they would be one gap. All ways of dividing
    the cut tokens into runs, and the others between them, have the same chance.

    Args:
        length: tokens of the sentence, END not counted; at least 2.
        rate: share that is cut out, between 0 and 1.
        mean_span: mean length of a run, at least 1.

    Raises:
        InputError: a sentence of fewer than 2 tokens, or numbers outside their range.
    """
    if length < 2 or not 0 < rate < 1 or mean_span < 1:
        raise InputError(
            "span corruption",
            found=f"{length} tokens, rate {rate}, mean_span {mean_span}",
            expected="2 or more tokens, a rate between 0 and 1, mean_span 1 or more",
            fix="Leave out captions of one word; T5 uses rate 0.15 and mean_span 3.",
        )
    cut = min(max(round(length * rate), 1), length - 1)
    runs = min(max(round(cut / mean_span), 1), cut, length - cut + 1)  # between runs at least one token stays
    spans = _divide(cut, runs, generator)
    # The gaps: 0 or more tokens before the first run and after the last, 1 or more between. Adding 2 makes all of them
    # 1 or more, which is what `_divide` gives.
    gaps = _divide(length - cut + 2, runs + 1, generator)
    gaps[0], gaps[-1] = gaps[0] - 1, gaps[-1] - 1
    mask: list[bool] = []
    for gap, span in itertools.zip_longest(gaps, spans, fillvalue=0):
        mask += [False] * gap + [True] * span
    return mask


def corrupt_spans(ids: Sequence[int], mask: Sequence[bool], words: Words) -> tuple[list[int], list[int]]:
    """A sentence and a mask to the encoder's input and the decoder's target.

    Args:
        ids: the sentence, with END as its last id.
        mask: True where a token is cut out, one for each id but END.

    Raises:
        InputError: no END, a mask of another length or without True, or more runs than sentinels.

    >>> words = Words("a b c d e".split())
    >>> source, target = corrupt_spans(words.encode("a b c d e"), [False, True, True, False, True], words)
    >>> words.decode(source), words.decode(target)
    ('a <extra_id_0> d <extra_id_1>', '<extra_id_0> b c <extra_id_1> e <extra_id_2>')
    """
    if len(ids) != len(mask) + 1 or ids[-1] != END or not any(mask):
        raise InputError(
            "span corruption",
            found=f"{len(ids)} ids and a mask of {len(mask)} with {sum(mask)} True",
            expected="ids that end with END, and one flag for each of the others, at least one of them True",
            fix="Encode the caption with Words.encode and draw the mask for len(ids) - 1 tokens.",
        )
    source: list[int] = []
    target: list[int] = []
    count = 0
    for is_cut, group in itertools.groupby(zip(ids, mask, strict=False), key=lambda pair: pair[1]):
        tokens = [token for token, _ in group]
        if is_cut:
            source.append(words.sentinel(count))
            target += [words.sentinel(count), *tokens]
            count += 1
        else:
            source += tokens
    return [*source, END], [*target, words.sentinel(count), END]


def restore_spans(source: Sequence[int], target: Sequence[int], words: Words) -> list[int]:
    """Put the words of a target, true or predicted, back in place of their sentinels in the input.

    A sentinel that the target does not list leaves nothing behind. The result ends with END.

    >>> words = Words("a b c".split())
    >>> pieces = corrupt_spans(words.encode("a b c"), [True, False, False], words)
    >>> words.decode(restore_spans(*pieces, words))
    'a b c'
    """
    spans: dict[int, list[int]] = {}
    current: list[int] | None = None
    for token in target:
        if token == END:
            break
        if words.is_sentinel(token):
            current = spans.setdefault(token, [])
        elif current is not None:
            current.append(token)
    whole = [part for token in source for part in (spans.get(token, []) if words.is_sentinel(token) else [token])]
    return whole if whole and whole[-1] == END else [*whole, END]


def _divide(total: int, parts: int, generator: torch.Generator) -> list[int]:
    """Divide `total` into `parts` numbers of 1 or more; every way has the same chance."""
    cuts = sorted((torch.randperm(total - 1, generator=generator)[: parts - 1] + 1).tolist())
    edges = [0, *cuts, total]
    return [right - left for left, right in itertools.pairwise(edges)]
