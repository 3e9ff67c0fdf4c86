"""Captions of composed clips: templates filled with the phrases of the actions, and the words of the mirror image."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_OPPOSITE = {"left": "right", "clockwise": "counterclockwise", "左": "右", "顺时针": "逆时针"}
_OPPOSITE |= {other: word for word, other in _OPPOSITE.items()}
_OPPOSITE["anticlockwise"] = "clockwise"
# "left" also inside "leftward", "left-handed" and "turn_left", but not inside "upright" or "bright".
_SIDE = re.compile(
    r"(?<![a-z])(counterclockwise|anticlockwise|clockwise|left|right)(?=[^a-z]|wards?|most|hand|$)|逆时针|顺时针|左|右",
    re.IGNORECASE,
)

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


def mirror_caption(text: str) -> str:
    """Swap left and right, clockwise and counterclockwise; also in action labels and in Chinese.

    >>> mirror_caption("a person turns left, then kicks with the Right leg")
    'a person turns right, then kicks with the Left leg'
    >>> mirror_caption("turn_left"), mirror_caption("stands upright"), mirror_caption("一个人向左转")
    ('turn_right', 'stands upright', '一个人向右转')
    """

    def swap(match: re.Match[str]) -> str:
        word = match.group(0)
        other = _OPPOSITE[word.lower()]
        return other.capitalize() if word[0].isupper() else other

    return _SIDE.sub(swap, text)


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

    >>> compose_captions([["turns left"], ["kicks"]], np.random.default_rng(0), count=2, mirrored=True)
    ['first a person turns right, then the person kicks', 'a person turns right and kicks']
    """
    templates = (_SINGLE, _PAIR, _MANY)[min(len(phrases), 3) - 1]
    captions = []
    for number in generator.permutation(len(templates))[:count]:
        words = [options[int(generator.integers(len(options)))] for options in phrases]
        filled = templates[int(number)].format(first=words[0], middle=", then ".join(words[1:-1]), last=words[-1])
        captions.append(mirror_caption(filled) if mirrored else filled)
    return captions
