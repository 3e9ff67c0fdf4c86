"""Captions of composed clips: templates filled with the phrases of the actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motionlab.data.composed.mirrored_words import mirror_words
from motionlab.errors import InputError

# Every template keeps the order of time, so a caption determines the actions and their order. `{middle}` is filled
# with the actions between the first and the last, joined by ", then ".
_SINGLE = ("a person {first}", "someone {first}", "the person {first}", "somebody {first}", "a human {first}")
_PAIR = (
    "a person {first}, then {last}",
    "someone {first} and then {last}",
    "a person {first} and {last}",
    "first a person {first}, then the person {last}",
    "the person {first}; after that, the person {last}",
    "somebody {first}, and afterwards {last}",
)
_MANY = (
    "a person {first}, then {middle} and finally {last}",
    "someone {first}, then {middle}, then {last}",
    "a person {first}, then {middle} and {last}",
    "first a person {first}, then {middle}, finally the person {last}",
    "the person {first}; after that, the person {middle} and then {last}",
    "somebody {first}, then {middle}, and at the end {last}",
)


def compose_captions(
    phrases: Sequence[Sequence[str]], generator: np.random.Generator, count: int = 4, mirrored: bool = False
) -> list[str]:
    """Paraphrases of one clip.

    Args:
        phrases: for each action in order of time, the phrases that may follow "a person".
        generator: draws templates and phrases.
        count: captions wanted, at most the five templates there are for every number of actions.
        mirrored: swap left and right.

    Returns:
        `count` captions, all different, each from another template.

    Raises:
        InputError: `mirrored`, and a phrase has a word that may or may not be a side.

    >>> compose_captions([["turns left"], ["kicks"]], np.random.default_rng(0), count=2, mirrored=True)
    ['first a person turns right, then the person kicks', 'a person turns right and kicks']
    """
    if mirrored:  # before they are filled in: the words around a gap must not decide how a phrase is read
        phrases = [[_mirrored(phrase) for phrase in options] for options in phrases]
    templates = (_SINGLE, _PAIR, _MANY)[min(len(phrases), 3) - 1]
    captions = []
    for number in generator.permutation(len(templates))[:count]:
        words = [options[int(generator.integers(len(options)))] for options in phrases]
        filled = templates[int(number)].format(first=words[0], middle=", then ".join(words[1:-1]), last=words[-1])
        captions.append(filled)
    return captions


def _mirrored(phrase: str) -> str:
    words = mirror_words(phrase)
    if words.unsure:
        raise InputError(
            f"phrase {phrase!r}",
            found=f"{words.unsure[0]}, which may or may not be a side",
            expected="a phrase whose mirror image is sure",
            fix="Write it in other words, or do not mirror this motion.",
        )
    return words.text
