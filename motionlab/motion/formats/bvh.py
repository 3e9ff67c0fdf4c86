"""Read BVH files (Biovision hierarchy): the text that Blender, MotionBuilder and most mocap archives exchange.

A file has two parts. `HIERARCHY` is a tree: each joint has an OFFSET from its parent in the rest pose and a list of
CHANNELS. `MOTION` has one line per frame with the value of every channel, in the order of the tree. A joint's rotation
is the product of its channels in the order written, so "Zrotation Xrotation Yrotation" means Rz Rx Ry, in degrees.
Writing is in `bvh_write.py`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.frame_rate import whole_rate
from motionlab.motion.rotations import yaw_matrix

LARGEST = 1e9  # of any unit: sums and products of larger numbers overflow far from here
_CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


@dataclass(frozen=True)
class BvhClip:
    """The content of a BVH file, in its own units, axes and joints. End sites are left out: they carry no motion.

    Args:
        names: `J` joint names, parents before children; the first is the root.
        parents: index of each joint's parent, -1 for the root.
        offsets: `[J, 3]` from the parent, in the rest pose; the root's is its first position.
        rotations: `[T, J, 3, 3]`, relative to the parent.
        root_position: `[T, 3]`.
        fps: frames a second.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Tensor
    rotations: Tensor
    root_position: Tensor
    fps: float

    def __len__(self) -> int:
        return self.rotations.shape[0]

    def world_rotations(self) -> Tensor:
        """`[T, J, 3, 3]`, each relative to the world."""
        result: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            local = self.rotations[:, joint]
            result.append(local if parent < 0 else result[parent] @ local)
        return torch.stack(result, dim=1)

    def joints(self) -> Tensor:
        """Positions by forward kinematics, `[T, J, 3]` in the units of the file."""
        world = self.world_rotations()
        result: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                result.append(self.root_position)
            else:
                result.append(result[parent] + world[:, parent] @ self.offsets[joint])
        return torch.stack(result, dim=1)


def read_bvh(path: str | Path) -> BvhClip:
    """Read a BVH file of any joint tree and channel order; float64.

    Rows after the announced number of frames are dropped with a warning. Position channels replace the OFFSET; joints
    other than the root may have them as long as they do not move.

    Raises:
        InputError: names the file and the line that cannot be understood.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise InputError(path, found=error.strerror or error, expected="a BVH file", fix="Check the path.") from error
    return parse_bvh(text, path)


def parse_bvh(text: str, where: object = "BVH text") -> BvhClip:
    """`read_bvh` for text that is already in memory.

    >>> clip = parse_bvh('''HIERARCHY
    ... ROOT Hips
    ... { OFFSET 0 0 0
    ...   CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
    ...   JOINT Chest { OFFSET 0 10 0 CHANNELS 3 Zrotation Xrotation Yrotation End Site { OFFSET 0 9 0 } }
    ... }
    ... MOTION
    ... Frames: 1
    ... Frame Time: 0.008333
    ... 0 90 0  90 0 0  0 0 0''')
    >>> clip.names, clip.fps
    (('Hips', 'Chest'), 120.0)
    >>> print([round(x) for x in clip.joints()[0, 1].tolist()])
    [-10, 90, 0]
    """
    lines = _Lines(text, where)
    tree = _read_hierarchy(lines)
    frames, frame_time = _read_motion_header(lines)
    table = _read_rows(lines, frames, sum(len(joint.channels) for joint in tree))
    return _assemble(tree, table, frame_time, lines)


@dataclass
class _Joint:
    """A joint while the tree is being read."""

    name: str
    parent: int
    offset: list[float] | None = None
    channels: list[str] = field(default_factory=list)


class _Lines:
    """Words with the number of their line, and one way to fail."""

    def __init__(self, text: str, where: object) -> None:
        self.where = where
        self.lines = text.splitlines()
        self.number = 1  # line of the last word, counted from 1
        self._words = self._iterate()

    def _iterate(self) -> Iterator[str]:
        for number, line in enumerate(self.lines, start=1):
            self.number = number
            yield from line.replace("{", " { ").replace("}", " } ").split()

    def word(self, expected: str) -> str:
        for word in self._words:
            return word
        self.fail("the end of the file", expected)

    def take(self, wanted: str) -> None:
        word = self.word(f"'{wanted}'")
        if word.upper() != wanted.upper():
            self.fail(f"'{word[:40]}'", f"'{wanted}'")

    def numbers(self, count: int) -> list[float]:
        return [self.number_from(self.word("a number")) for _ in range(count)]

    def number_from(self, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not abs(value) <= LARGEST:  # nan, too
            self.fail(f"'{word[:40]}'", f"a finite number of at most {LARGEST:g}")
        return value

    def fail(self, found: str, expected: str) -> NoReturn:
        raise InputError(
            f"{self.where}, line {self.number}",
            found=found,
            expected=expected,
            fix="Export the file again as BVH, or repair this line.",
        )


def _read_hierarchy(lines: _Lines) -> list[_Joint]:
    lines.take("HIERARCHY")
    lines.take("ROOT")
    tree: list[_Joint] = []
    open_joints: list[int] = []  # indices of joints whose brace is open; -1 for an end site

    def start(name: str) -> None:
        if any(joint.name == name for joint in tree):
            lines.fail(f"a second joint '{name[:40]}'", "joint names that differ")
        tree.append(_Joint(name, open_joints[-1] if open_joints else -1))
        open_joints.append(len(tree) - 1)
        lines.take("{")

    start(lines.word("the name of the root"))
    while open_joints:
        here = open_joints[-1]
        word = lines.word("'}'").upper()
        if word == "}":
            if here >= 0 and tree[here].offset is None:
                lines.fail(f"joint '{tree[here].name}' without OFFSET", "an OFFSET of three numbers")
            open_joints.pop()
        elif word == "OFFSET":
            offset = lines.numbers(3)
            if here >= 0:
                tree[here].offset = offset
        elif word == "CHANNELS" and here >= 0:
            tree[here].channels = _read_channels(lines)
        elif word == "JOINT" and here >= 0:
            start(lines.word("the name of a joint"))
        elif word == "END" and here >= 0:
            lines.take("Site")
            lines.take("{")
            open_joints.append(-1)
        else:
            lines.fail(f"'{word[:40]}'", "OFFSET, CHANNELS, JOINT, End Site or '}'")
    return tree


def _read_channels(lines: _Lines) -> list[str]:
    count = lines.numbers(1)[0]
    if count not in (0, 1, 2, 3, 4, 5, 6):
        lines.fail(f"{count:g} channels", "0 to 6")
    channels = []
    for _ in range(int(count)):
        word = lines.word("a channel")
        channel = word[:1].upper() + word[1:].lower()
        if channel not in _CHANNELS or channel in channels:
            lines.fail(f"channel '{word[:40]}'", "each of " + ", ".join(_CHANNELS) + " at most once")
        channels.append(channel)
    return channels


def _read_motion_header(lines: _Lines) -> tuple[int, float]:
    lines.take("MOTION")
    lines.take("Frames:")
    frames = lines.numbers(1)[0]
    if frames < 1 or frames != int(frames):
        lines.fail(f"{frames:g} frames", "a whole number of at least 1")
    lines.take("Frame")
    lines.take("Time:")
    frame_time = lines.numbers(1)[0]
    if not 1e-5 <= frame_time <= 10:
        lines.fail(f"frame time {frame_time:g}", "seconds between two frames, such as 0.033333")
    return int(frames), frame_time


def _read_rows(lines: _Lines, frames: int, columns: int) -> Tensor:
    """`[T, columns]`."""
    rows: list[list[float]] = []
    extra = 0
    for number in range(lines.number + 1, len(lines.lines) + 1):
        words = lines.lines[number - 1].split()
        if not words:
            continue
        if len(rows) == frames:
            extra += 1
            continue
        lines.number = number
        if len(words) != columns:
            lines.fail(f"{len(words)} numbers", f"{columns}, one for each channel")
        rows.append([lines.number_from(word) for word in words])
    if len(rows) < frames:
        lines.number = len(lines.lines)
        lines.fail(f"the end of the file after {len(rows)} frames", f"{frames} frames, as its header says")
    if extra:
        warnings.warn(f"{lines.where}: {extra} rows after the {frames} frames of the header were ignored", stacklevel=4)
    return torch.tensor(rows, dtype=torch.float64).reshape(frames, columns)


def _assemble(tree: list[_Joint], table: Tensor, frame_time: float, lines: _Lines) -> BvhClip:
    frames = table.shape[0]
    offsets = torch.tensor([joint.offset for joint in tree], dtype=torch.float64)  # [J, 3]
    size = float(offsets.norm(dim=-1).sum())
    positions, rotations = [], []
    column = 0
    for index, joint in enumerate(tree):
        rotation = torch.eye(3, dtype=torch.float64).expand(frames, 3, 3)
        position = offsets[index].repeat(frames, 1)  # [T, 3]
        for channel in joint.channels:
            values = table[:, column]
            axis = "XYZ".index(channel[0])
            if channel.endswith("rotation"):
                rotation = rotation @ _axis_rotation(axis, torch.deg2rad(values))
            else:
                position[:, axis] = values  # replaces the OFFSET, as Blender and MotionBuilder read it
            column += 1
        positions.append(position)
        rotations.append(rotation)
        if index > 0 and float((position - position[0]).abs().max()) > 1e-3 * size:
            raise InputError(
                lines.where,
                found=f"joint '{joint.name}' that moves away from its parent",
                expected="bones that keep their length",
                fix="Export the motion with rotations only (and positions for the root).",
            )
        offsets[index] = position[0]
    return BvhClip(
        names=tuple(joint.name for joint in tree),
        parents=tuple(joint.parent for joint in tree),
        offsets=offsets,
        rotations=torch.stack(rotations, dim=1),
        root_position=positions[0],
        fps=whole_rate(1 / frame_time),  # files write 0.008333 for 1/120
    )


def _axis_rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotation about one axis, `[T] -> [T, 3, 3]`: the rotation about y with its rows and columns shifted."""
    matrix = yaw_matrix(angle)
    shift = [(row - axis + 1) % 3 for row in range(3)]
    return matrix[:, shift][:, :, shift]


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    clip = read_bvh(path)
    rest: list[Tensor] = []  # [3] each
    for joint, parent in enumerate(clip.parents):
        rest.append(torch.zeros(3, dtype=torch.float64) if parent < 0 else rest[parent] + clip.offsets[joint])
    yield Reading(
        SourceMotion(
            name=path.stem,
            joints=clip.names,
            parents=clip.parents,
            times=torch.arange(len(clip), dtype=torch.float64) / (options.fps or clip.fps),
            positions=clip.joints(),
            rotations=clip.world_rotations(),
            rest=torch.stack(rest),
        )
    )


FORMAT = Format(
    name="BVH",
    suffixes=(".bvh",),
    carries="a skeleton of any shape and its rotations",
    loses="the unit and which way is up; both are found from the poses",
    recognises=any_file,
    read=_read,
)
