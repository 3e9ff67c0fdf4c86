"""The words of a caption in the mirror: which "left" and "right" are sides, and which are not.

Rules about the neighbouring words, not a language model. A word is a side unless its neighbours say otherwise ("right
away", "he left the chair", 两米左右). Where they leave it open ("walks right back") the caption is not touched, because
a mirrored motion with the wrong side in its caption teaches the opposite.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

BODY = frozenset(
    "hand hands arm arms leg legs foot feet fist fists elbow elbows knee knees shoulder shoulders hip hips ankle "
    "ankles wrist wrists heel heels toe toes thigh thighs palm palms side jab hook punch kick uppercut".split()
)
HANDED = frozenset("handed footed legged sided".split())
STAYED = frozenset("behind over standing hanging lying".split())
DETERMINERS = frozenset("the a an his her their its my our your this that these those him them it home".split())
SUBJECTS = frozenset("he she they who i we you".split())
PEOPLE = frozenset(
    "person man woman human someone somebody anyone figure guy boy girl child kid people individual character dancer "
    "boxer fighter player actor runner walker".split()
)
BE = frozenset("is are was were be been being isn't wasn't".split())
HAVE = frozenset("has have had having".split())
NOTHING = frozenset("nothing anything something much little".split())  # "nothing left to do"
# "right" after these is a side whatever follows: "turns right after a step", "to the right behind the chair".
POINTING = re.compile(
    r"(?:turn|veer|curv|swerv|steer|pivot|rotat|spin|sidestep)\w*"
    r"|to|from|the|his|her|their|its|a|slightly|sharply|hard|further|diagonally"
)
# After "right", these may make it mean "exactly" or "at once": "stands right behind", "walks right into".
EXACTLY = frozenset(
    "after afterwards before behind beside next in into at on onto over under above below up down through there here "
    "across against as when where while by near past out off".split()
)
AT_ONCE = frozenset("back around round".split())  # "turns right around": to that side, or completely?
ROUND = frozenset("direction circle motion turn rotation manner spin fashion way path movement pattern order".split())
OPEN = frozenset("way direction place position spot track path one thing".split())  # the correct one, or that side's?
CORRECT = frozenset("angle angles angled moment time order speed height distance amount answer".split())

_GAP = r"[\s\u2010-\u2015-]*"
_CLOCKWISE = f"clock{_GAP}wise"
_COUNTER = f"(?:counter|anti|contra){_GAP}{_CLOCKWISE}"
# Also inside "leftward", "left-handed", "righty", "turn_left" and "rights", not inside "upright" or "rights himself".
_ENDS = r"(?![a-z])|(?:wards?|most|y)(?![a-z])|hand|s(?![a-z]|\s+\w+sel[fv])"
_ENGLISH = rf"(?<![a-z])(?:{_COUNTER}|{_CLOCKWISE}|ccw|cw|left|right)(?={_ENDS})"
_CHINESE = "[顺逆反]时[针钟]|[順逆反]時[針鐘]|[左右]+"
# Words of two sides or of none. The pairs mean "to both sides" in whichever order.
_KEPT_CHINESE = re.compile(
    "左顾右盼|左思右想|左摇右晃|左摇右摆|左躲右闪|左闪右避|左邻右舍|左冲右突|左拥右抱|左右为难|座右铭|无出其右|相左"
)
_LETTER = r"(?-i:(?<![\w-])[LR](?![\w-]))"  # "L arm", "steps R"; not "L-shaped"
_OTHER = rf"(?<![a-z])southpaw(?![a-z])|o['\u2019]clock|{_LETTER}"
_WORD = re.compile(f"{_ENGLISH}|{_KEPT_CHINESE.pattern}|{_CHINESE}|{_OTHER}", re.IGNORECASE)
_OPPOSITE = {
    "left": "right", "clockwise": "counterclockwise", "cw": "ccw", "左": "右",
}  # fmt: skip
_OPPOSITE |= {other: word for word, other in _OPPOSITE.items()}


@dataclass(frozen=True)
class MirroredCaption:
    """A caption in the mirror, and how each word that may be a side was read.

    Fields:
        text: the mirrored caption; the caption as it was when `unsure` names anything.
        swapped: words that became their opposite, as "left -> right".
        kept: words that are no side here, each with its neighbours.
        unsure: words that may or may not be a side, each with its neighbours.
    """

    text: str
    swapped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


def mirror_words(text: str) -> MirroredCaption:
    """Swap the words of sides, and say which were swapped, kept and unsure.

    >>> mirror_words("turns left, and right away kicks with the left leg").text
    'turns right, and right away kicks with the right leg'
    >>> mirror_words("walks right back").unsure
    ("'right' in 'walks right back'",)
    """
    mirrored = _read(text)
    if mirrored.unsure or _read(mirrored.text).text == _one_spelling(text):
        return mirrored
    # "kicks left behind the chair" is clear, and in the mirror it is not.
    return MirroredCaption(text, (), mirrored.kept, (f"{mirrored.text!r}, its mirror image, which may be misread",))


def mirror_caption(text: str) -> str:
    """Swap left and right, clockwise and counterclockwise; also in action labels and in Chinese.

    Twice gives the caption back ("anticlockwise" as "counterclockwise"). A caption with a word that may or may not be
    a side comes back as it is: ask `mirror_words` where a label must be right.

    >>> mirror_caption("a person turns left, then kicks with the Right leg")
    'a person turns right, then kicks with the Left leg'
    >>> mirror_caption("turn_left"), mirror_caption("stands upright"), mirror_caption("一个人向左转")
    ('turn_right', 'stands upright', '一个人向右转')
    >>> mirror_caption("spins counter clockwise"), mirror_caption("he left the chair"), mirror_caption("走两米左右")
    ('spins clockwise', 'he left the chair', '走两米左右')
    """
    return mirror_words(text).text


@functools.lru_cache(maxsize=4096)  # a corpus asks for the same few phrases thousands of times
def _read(text: str) -> MirroredCaption:
    """Every word of a side in its context, without looking at the result again."""
    parts: list[str] = []
    swapped: list[str] = []
    kept: list[str] = []
    unsure: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        word, verdict = match[0], _verdict(text, match)
        parts += [text[end : match.start()], word]
        end = match.end()
        if verdict == "side":
            parts[-1] = _opposite(word)
            swapped.append(f"{word} -> {parts[-1]}")
        else:
            (kept if verdict == "none" else unsure).append(f"{word!r} in {_surrounding(text, match)!r}")
    mirrored = text if unsure else "".join((*parts, text[end:]))
    return MirroredCaption(mirrored, () if unsure else tuple(swapped), tuple(kept), tuple(unsure))


def _one_spelling(text: str) -> str:
    """`text` with one word for counterclockwise."""

    def spelled(match: re.Match[str]) -> str:
        return _cased(match[0], "clockwise" if match[0][:5].lower() == "clock" else "counterclockwise")

    return re.sub("反(?=[时時])", "逆", re.sub(f"{_COUNTER}|{_CLOCKWISE}", spelled, text, flags=re.IGNORECASE))


def _verdict(text: str, match: re.Match[str]) -> str:
    """How a word is meant: "side", "none" (no side) or "unsure"."""
    word = match[0].lower()
    before, after = _neighbours(text, match)
    if word in ("left", "right") and not text[match.end() :][:1].isalpha():  # leftward, righthand: sides
        return _left(before, after) if word == "left" else _right(before, after)
    if word.endswith("clock") or word in ("southpaw", "l", "r"):  # "at three o'clock" may be a direction
        return "unsure"
    if word.startswith("counter ") and before[-1:] == ["the"] and not ROUND.intersection(after[:1]):
        return "unsure"  # "around the counter clockwise"
    if _KEPT_CHINESE.fullmatch(word):
        return "none"
    return _chinese(text, match) if word[0] in "左右" else "side"


def _left(before: list[str], after: list[str]) -> str:
    previous, following = before[-1] if before else "", after[0] if after else ""
    if following == "alone" or previous in NOTHING or before[:-1] == ["no"]:  # "no time left"
        return "none"
    if previous in SUBJECTS:  # "he left the room"
        return "unsure" if following in BODY else "none"
    if following in BODY or following == "of" or following in HANDED:
        return "side"
    have = previous in HAVE or previous.endswith(("'ve", "\u2019ve"))
    if have and following in ("", *DETERMINERS):
        return "none"
    if previous in PEOPLE and following in DETERMINERS:  # but "turns the person left" may be meant without one
        return "none"
    if previous in BE or previous in PEOPLE or have:
        return "unsure"
    pointed = bool(POINTING.fullmatch(previous))
    return "unsure" if not pointed and (following in DETERMINERS or following in STAYED) else "side"


def _right(before: list[str], after: list[str]) -> str:
    previous, following = before[-1] if before else "", after[0] if after else ""
    if previous == "all" or following in CORRECT or following.endswith(("self", "selves")):
        return "none"
    if after == ["side", "up"] or after == ["way", "up"]:
        return "none"
    if following in BODY or following == "of" or following in HANDED:
        return "side"
    if following in ("away", "now"):  # at once, but "turns right, away from the door" without its comma
        return "unsure" if after[1:] == ["from"] else "none"
    if following in OPEN or previous in BE or previous in ("that's", "it's"):
        return "unsure"
    pointed = bool(POINTING.fullmatch(previous)) or (before[:1] == ["left"] and previous in ("and", "or", "then"))
    if following in AT_ONCE:
        return "side" if previous in ("to", *DETERMINERS) else "unsure"
    if following in EXACTLY and after != ["in", "a"]:
        return "side" if pointed else "unsure"
    return "side"


def _chinese(text: str, match: re.Match[str]) -> str:
    """左右 is "about" after a number, else "to both sides"; as an order of blows it may be one after the other."""
    if match[0] == "右左":
        return "unsure"
    if match[0] != "左右":
        return "side"
    return "unsure" if re.match("[出直勾刺摆]?拳|[侧高]?踢", text[match.end() :]) else "none"


def _neighbours(text: str, match: re.Match[str]) -> tuple[list[str], list[str]]:
    """Words right before and after, at most two each, with nothing but spaces, hyphens or underscores between."""
    before = re.split(r"[^\w'\u2019 -]", text[: match.start()].lower())[-1]
    after = re.split(r"[^\w'\u2019 -]", text[match.end() :].lower())[0]
    return re.split(r"[ _-]+", before.strip(" _-"))[-2:], re.split(r"[ _-]+", after.strip(" _-"))[:2]


def _opposite(word: str) -> str:
    lower = word.lower()
    if re.search(_CLOCKWISE, lower):
        other = "counterclockwise" if re.fullmatch(_CLOCKWISE, lower) else "clockwise"
    elif lower[1:2] in ("时", "時"):
        clockwise = "顺" if lower[1] == "时" else "順"
        other = ("逆" if lower[0] == clockwise else clockwise) + lower[1:]
    else:
        other = _OPPOSITE.get(lower) or "".join(_OPPOSITE[one] for one in lower)  # 左右左
    return _cased(word, other)


def _cased(like: str, word: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[0].isupper() else word


def _surrounding(text: str, match: re.Match[str]) -> str:
    """The word with two words on either side, or with a few signs where a language has no spaces."""
    before, after = text[: match.start()][-24:].split(" ")[-3:], text[match.end() :][:24].split(" ")[:3]
    return f"{' '.join(before)}{match[0]}{' '.join(after)}".strip()


def side(text: str, mirrored: bool) -> str:
    """The text as it is, or its mirror image."""
    return mirror_caption(text) if mirrored else text
