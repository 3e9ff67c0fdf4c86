"""The actions that a caption asks for, as sentences of one form: the parts between "then", "and" and commas.

A caption is often half known: "a person walks, then sits down". As a whole it is close to captions about walking, so it
is compared part by part. The parts get one subject, because "somebody" and "the person" would make two sentences about
the same action differ more than two about different ones.

The rules are those of English captions. A sentence of another kind stays whole, which is safe: it is then compared as
it is.
"""

from __future__ import annotations

import re

SUBJECT = "a person"
_PEOPLE = (
    "person|someone|somebody|human|man|woman|boy|girl|guy|lady|child|character|figure|figurine|individual|subject|"
    "actor|performer|dancer|boxer|gymnast|athlete|player|he|she|they"
)
# "the person is", "a young man", "first a person"; at most two words stand between the article and the noun.
_SUBJECT = re.compile(
    rf"(?:(?:a|an|the|this|that|some|one)\s+(?:[a-z]+\s+){{0,2}}?)?(?:{_PEOPLE})\s+(?:(?:is|are|was|who|that)\s+)*",
    re.I,
)
_LINK = (
    r"and|then|finally|afterwards?|after (?:that|which|this)|at the end|in the end|first|next|later|but|before|while"
)
_BREAK = re.compile(rf"\s*(?:[,;.:!?\n]|\b(?:{_LINK})\b)\s*", re.I)
# Pairs of directions or of limbs are one action: "from left and right", "on hands and knees".
_PAIRED = (
    "left|right|up|down|back|backwards?|forth|forwards?|in|out|side|sides|hands?|knees?|arms?|legs?|feet|foot|elbows?|"
    "shoulders?|hips?|heads?|again|over|clockwise|counterclockwise|both|around"
)
_PAIR = re.compile(rf"\b({_PAIRED})\s+and\s+(?=(?:{_PAIRED})\b)", re.I)
_WHILE = re.compile(r"\bwhile\s+(?=[a-z]+ing\b)", re.I)  # "turns left while walking" is one action
_KEPT_AND, _KEPT_WHILE = "\x00", "\x01"
_MANNER = re.compile(r"(?:(?:[a-z]+ly|very|so|again|once|twice|slow|fast|there)\b\s*)+", re.I)


def action_parts(caption: str) -> list[str]:
    """The parts of a caption that name an action, in order, as they were written.

    >>> action_parts("first a person walks forward, then the person sits down")
    ['walks forward', 'sits down']
    >>> action_parts("someone turns left while walking and crawls on hands and knees, slowly")
    ['turns left while walking', 'crawls on hands and knees']
    >>> action_parts("the weather is nice")
    ['the weather is nice']
    """
    text = _WHILE.sub(_KEPT_WHILE, _PAIR.sub(rf"\1{_KEPT_AND}", caption))
    parts = []
    for piece in _BREAK.split(text):
        piece = piece.replace(_KEPT_AND, " and ").replace(_KEPT_WHILE, "while ").strip()
        action = _SUBJECT.sub("", f"{piece} ", count=1).strip() if _SUBJECT.match(f"{piece} ") else piece
        if re.search(r"\w", action) and not _MANNER.fullmatch(action):
            parts.append(action)
    return parts or [caption.strip()]


def as_sentence(part: str) -> str:
    """A part as a sentence about a person, in lower case.

    >>> as_sentence("Sits down")
    'a person sits down'
    """
    return f"{SUBJECT} {' '.join(part.lower().split())}"


def bare_action(caption: str) -> str:
    """A caption about one action without its subject.

    >>> bare_action("Somebody jumps, spins to the left and kicks")
    'jumps, spins to the left and kicks'
    """
    return _SUBJECT.sub("", caption, count=1).strip() if _SUBJECT.match(caption) else caption.strip()
