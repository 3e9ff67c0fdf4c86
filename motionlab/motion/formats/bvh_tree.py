"""The first part of a BVH file: the tree of joints, and the two lines of numbers about the motion.

Read as other programs read it, not as the one description of the format has it: keywords in any case, `Frames:2`
without a space, names of several words (up to the end of the line or the brace), an End Site with a name, comment
lines (`#`, `//`, `;`), scale channels, several roots, a byte order mark, line ends of any system.
"""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass, field
from typing import NoReturn

from motionlab.errors import InputError
from motionlab.motion.formats.joint_tree import unique_names

LARGEST = 1e9  # of any unit: sums and products of larger numbers overflow far from here
_COMMENTS = ("#", "//", ";")
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation", "scale") for axis in "XYZ")


@dataclass
class BvhJoint:
    """A joint of the tree.

    Args:
        name: as the file has it; no two joints of a file have the same.
        parent: index of its parent, -1 for a root.
        offset: from the parent, in the rest pose.
        channels: what the numbers of a row mean, in their order: "Xposition", "Zrotation", "Yscale" ...
    """

    name: str
    parent: int
    offset: list[float] | None = None
    channels: list[str] = field(default_factory=list)


def decode(content: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, or else Latin-1, which takes any byte."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


class BvhText:
    """The text of a file, read word by word, with the number of the line and one way to fail."""

    def __init__(self, text: str, where: object) -> None:
        self.where = where
        self.text = text.removeprefix("\ufeff")
        if "\r" in self.text:
            self.text = self.text.replace("\r\n", "\n").replace("\r", "\n")
        self.line = 0  # of the last word, counted from 1
        self.position = 0  # of the next line in `text`
        self._waiting: list[str] = []  # words of this line, the next one last

    def word(self, expected: str) -> str:
        """The next word; a brace is a word of its own."""
        while not self._waiting:
            if self.position >= len(self.text):
                self.fail("the end of the file", expected)
            end = self.text.find("\n", self.position)
            end = len(self.text) if end < 0 else end
            line = self.text[self.position : end].strip()
            self.position, self.line = end + 1, self.line + 1
            if not line.startswith(_COMMENTS):
                self._waiting = line.replace("{", " { ").replace("}", " } ").split()[::-1]
        return self._waiting.pop()

    def take(self, wanted: str) -> None:
        """The next word must be this one, in upper or lower case."""
        word = self.word(f"'{wanted}'")
        if word.upper() != wanted.upper():
            self.fail(f"'{word[:40]}'", f"'{wanted}'")

    def name(self) -> str:
        """All words up to a brace or the end of the line, then the brace."""
        words = []
        while self._waiting and self._waiting[-1] != "{":
            words.append(self._waiting.pop())
        self.take("{")
        return " ".join(words)

    def value(self, key: str) -> str:
        """The word after `key:`, with or without a space on either side of the colon."""
        begun, wanted = "", f"'{key}:'"
        while ":" not in begun:
            begun = f"{begun} {self.word(wanted)}".lstrip()
            if not key.upper().startswith(begun.upper().partition(":")[0].rstrip()):
                self.fail(f"'{begun[:40]}'", wanted)
        found, _, value = begun.partition(":")
        if found.rstrip().upper() != key.upper():
            self.fail(f"'{begun[:40]}'", wanted)
        return value or self.word("a number")

    def numbers(self, count: int) -> list[float]:
        return [self.number(self.word("a number")) for _ in range(count)]

    def number(self, word: str, fix: str = "") -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:  # nan, too
            comma = word.count(",") == 1 and word.replace(",", "").strip("+-").isdigit()
            self.fail(
                f"'{word[:40]}'" + (", a number with a decimal comma" if comma else ""),
                "a decimal point" if comma else f"a finite number of at most {LARGEST:g}",
                fix=fix,
            )
        return value

    def end_line(self) -> None:
        """The line must end here."""
        if self._waiting:
            self.fail(f"'{self._waiting[-1][:40]}'", "the end of the line")

    def fail(self, found: str, expected: str, *, fix: str = "") -> NoReturn:
        raise InputError(
            f"{self.where}, line {self.line}" if self.line else self.where,
            found=found,
            expected=expected,
            fix=fix or "Export the file again as BVH, or repair this line.",
        )


def read_tree(text: BvhText) -> tuple[list[BvhJoint], list[str]]:
    """The joints, parents before children, and notes. Several roots are several trees, one after the other.

    Ends before the values of the motion: the word MOTION is taken.
    """
    joints: list[BvhJoint] = []
    text.take("HIERARCHY")
    text.take("ROOT")
    while True:
        _read_root(text, joints)
        word = text.word("'MOTION'").upper()
        if word == "MOTION":
            break
        if word != "ROOT":
            text.fail(f"'{word[:40]}'", "'MOTION'")
    if not any(joint.channels for joint in joints):
        text.fail("no CHANNELS at any joint", "channels, which say what the numbers of a row mean")
    names, notes = unique_names([joint.name for joint in joints])
    for joint, name in zip(joints, names, strict=True):
        joint.name = name
    return joints, notes


def _read_root(text: BvhText, joints: list[BvhJoint]) -> None:
    open_joints: list[int] = []  # indices of joints whose brace is open; -1 for an end site

    def start() -> None:
        name = text.name()
        if not name:
            text.fail("a joint without a name", "a name")
        joints.append(BvhJoint(name, open_joints[-1] if open_joints else -1))
        open_joints.append(len(joints) - 1)

    start()
    while open_joints:
        here = open_joints[-1]
        word = text.word("'}'").upper()
        if word == "}":
            if here >= 0 and joints[here].offset is None:
                text.fail(f"joint '{joints[here].name}' without OFFSET", "an OFFSET of three numbers")
            open_joints.pop()
        elif word == "OFFSET":
            offset = text.numbers(3)
            if here >= 0:
                joints[here].offset = offset
        elif word == "CHANNELS" and here >= 0:
            joints[here].channels = _read_channels(text)
        elif word == "JOINT" and here >= 0:
            start()
        elif word == "END" and here >= 0:
            text.name()  # "Site", and in some files a name
            open_joints.append(-1)
        else:
            text.fail(f"'{word[:40]}'", "OFFSET, CHANNELS, JOINT, End Site or '}'")


def _read_channels(text: BvhText) -> list[str]:
    count = text.numbers(1)[0]
    if count not in range(len(_CHANNELS) + 1):
        text.fail(f"{count:g} channels", f"0 to {len(_CHANNELS)}")
    channels: list[str] = []
    for _ in range(int(count)):
        word = text.word("a channel")
        channel = word[:1].upper() + word[1:].lower()
        if channel not in _CHANNELS or channel in channels:
            text.fail(f"channel '{word[:40]}'", "each of " + ", ".join(_CHANNELS) + " at most once")
        channels.append(channel)
    return channels


def read_motion_header(text: BvhText, fps: float | None) -> tuple[int, float]:
    """The number of frames as the file claims it, and frames a second.

    Args:
        fps: replaces what the file says, whatever that is.
    """
    frames = text.number(text.value("Frames"))
    if frames < 1 or frames != int(frames):
        text.fail(f"{frames:g} frames", "a whole number of at least 1")
    word = text.value("Frame Time")
    if fps is None:
        fix = "Repair this line, or say the frames a second with --fps."
        seconds = text.number(word, fix)
        if not 1e-5 <= seconds <= 10:
            text.fail(f"frame time {seconds:g}", "seconds between two frames, such as 0.033333", fix=fix)
        fps = 1 / seconds
    text.end_line()
    return int(frames), fps
