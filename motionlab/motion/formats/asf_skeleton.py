"""The skeleton of ASF/AMC: bones with a direction, a length, axes of their own and the angles they may turn by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from motionlab.errors import InputError

LARGEST = 1e6  # of any unit
MOST_BONES = 1000
_TURNS, _SHIFTS = ("rx", "ry", "rz"), ("tx", "ty", "tz")


@dataclass
class AsfBone:
    """One bone; the root is one without length.

    Args:
        parent: index of its parent, -1 for the root.
        step: direction times length, in the axes of the world.
        axes: degrees and their order, such as `((0, 0, 20), "XYZ")`: the bone's own axes.
        dof: what the numbers of a row mean, in their order.
    """

    name: str
    parent: int = -1
    step: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axes: tuple[tuple[float, float, float], str] = ((0.0, 0.0, 0.0), "XYZ")
    dof: tuple[str, ...] = ()


@dataclass(frozen=True)
class AsfSkeleton:
    """The bones, parents before children, the root first; where that is; and how many units are one inch."""

    bones: tuple[AsfBone, ...]
    position: tuple[float, float, float]
    length: float | None


class TextLines:
    """The lines of a text as words, without comments and empty lines; knows where it is when something is wrong."""

    def __init__(self, text: str, where: object, expected: str) -> None:
        self.where, self.expected = where, expected
        self.line = 0
        self._lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def __iter__(self) -> Iterator[list[str]]:
        for number, line in enumerate(self._lines, start=1):
            self.line = number
            words = line.partition("#")[0].split()
            if words:
                yield words

    def numbers(self, words: list[str], count: int) -> list[float]:
        """Exactly `count` finite numbers."""
        if len(words) != count:
            self.fail(f"{len(words)} numbers", f"{count}")
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = [math.nan]
        if not all(abs(value) <= LARGEST for value in values):  # nan, too
            self.fail(" ".join(words)[:60], f"finite numbers of at most {LARGEST:g}")
        return values

    def triple(self, words: list[str]) -> tuple[float, float, float]:
        x, y, z = self.numbers(words, 3)
        return x, y, z

    def fail(self, found: str, expected: str = "") -> NoReturn:
        raise InputError(
            f"{self.where}, line {self.line}" if self.line else self.where,
            found=found,
            expected=expected or self.expected,
            fix="Get the file again, or repair this line.",
        )


def parse_asf(text: str, where: object = "ASF text") -> AsfSkeleton:
    """A skeleton.

    Raises:
        InputError: names the line that is not understood.
    """
    lines = TextLines(text, where, "an ASF skeleton")
    root = AsfBone("root")
    bones: dict[str, AsfBone] = {}
    children: list[tuple[int, str, list[str]]] = []  # line, parent, children
    position, length = (0.0, 0.0, 0.0), None
    section, bone = "", root
    for words in lines:
        key = words[0].lower()
        if key.startswith(":"):
            section = key
        elif section == ":units" and key == "length":
            length = lines.numbers(words[1:], 1)[0]
            if length <= 0:
                lines.fail(f"length {length:g}", "units in an inch, such as 0.45")
        elif section == ":units" and key == "angle":
            if words[1:] != ["deg"]:
                lines.fail("angle " + " ".join(words[1:])[:40], "angle deg")
        elif section == ":root":
            if key == "position":
                position = lines.triple(words[1:])
            elif key == "orientation":
                root.axes = (lines.triple(words[1:]), root.axes[1])
            elif key == "axis":
                root.axes = (root.axes[0], _order(words[1:], lines))
            elif key == "order":
                root.dof = _dof(words[1:], _TURNS + _SHIFTS, lines)
        elif section == ":bonedata":
            if key == "begin":
                bone = AsfBone("")
            elif key == "end":
                if not bone.name or bone.name in bones or bone.name == "root":
                    lines.fail(f"a bone named '{bone.name[:40]}'", "a name of its own for each bone")
                bones[bone.name] = bone
                if len(bones) > MOST_BONES:
                    lines.fail(f"more than {MOST_BONES} bones")
            elif key == "name":
                bone.name = " ".join(words[1:])
            elif key == "direction":
                bone.step = lines.triple(words[1:])
            elif key == "length":
                (size,) = lines.numbers(words[1:], 1)
                norm = math.hypot(*bone.step)
                if size and not norm:
                    lines.fail(f"bone '{bone.name[:40]}' with a length and without a direction before it")
                x, y, z = (size * value / (norm or 1.0) for value in bone.step)
                bone.step = (x, y, z)
            elif key == "axis":
                bone.axes = (lines.triple(words[1:4]), _order(words[4:], lines))
            elif key == "dof":
                bone.dof = _dof(words[1:], _TURNS, lines)
        elif section == ":hierarchy" and key not in ("begin", "end"):
            if len(children) > MOST_BONES:
                lines.fail(f"more than {MOST_BONES} bones")
            children.append((lines.line, words[0], words[1:]))
    if not bones:
        lines.fail("no bones")
    return AsfSkeleton(_tree(root, bones, children, lines), position, length)


def _tree(
    root: AsfBone, bones: dict[str, AsfBone], children: list[tuple[int, str, list[str]]], lines: TextLines
) -> tuple[AsfBone, ...]:
    result = {"root": 0}
    order = [root]
    for line, parent, names in children:
        lines.line = line
        if parent not in result:
            lines.fail(f"'{parent[:40]}' in the hierarchy before its own parent", "parents before children")
        for name in names:
            if name not in bones or name in result:
                lines.fail(f"'{name[:40]}' in the hierarchy", "each bone of :bonedata once")
            bones[name].parent = result[parent]
            result[name] = len(order)
            order.append(bones[name])
    return tuple(order)


def _order(words: list[str], lines: TextLines) -> str:
    order = "".join(words).upper()
    if sorted(order) != ["X", "Y", "Z"]:
        lines.fail(f"axis {order[:40]}", "an order of axes, such as XYZ")
    return order


def _dof(words: list[str], allowed: tuple[str, ...], lines: TextLines) -> tuple[str, ...]:
    dof = tuple(word.lower() for word in words)
    if len(set(dof)) != len(dof) or not set(dof) <= set(allowed):
        lines.fail(" ".join(dof)[:60], "some of " + " ".join(allowed) + ", each at most once")
    return dof
