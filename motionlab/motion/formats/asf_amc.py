"""Read ASF/AMC, the original format of the CMU archive: a skeleton (.asf) and motions on it (.amc), both text.

A bone has a direction and a length in the axes of the world, axes of its own `C` (three angles), and the angles it may
turn by (`dof`). A row of the motion gives those angles, in degrees; with M the product of turns about the bone's own
axes, the bone turns by C M C^-1 relative to its parent. "rx ry rz" and "XYZ" mean x first: M = Rz Ry Rx. All turns are
zero in the pose of the .asf, so that pose is the rest pose.

Two things a program must know, because no file says them: CMU's recordings have 120 frames a second, and `length 0.45`
means that 0.45 units are one inch. Joints here are the places where bones start: "lfemur" is the left hip, and "lhand"
the left wrist ("lwrist" is the turning half of the forearm).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.reading import read_bytes
from motionlab.motion.formats.asf_skeleton import AsfBone, AsfSkeleton, TextLines, parse_asf
from motionlab.motion.formats.euler_angles import euler_to_matrix
from motionlab.motion.formats.joint_tree import check_size, rest_places, world_places, world_rotations
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion

FPS = 120.0  # of CMU's recordings
INCH = 0.0254  # metres
_EXPECTED = "an AMC motion: the number of a frame, then 'root' and the bones of its .asf, each with its numbers"


def parse_amc(text: str, where: object, skeleton: AsfSkeleton) -> tuple[list[int], dict[str, Tensor], list[str]]:
    """Frame numbers, `[T, dof]` numbers for each bone that the file names, and notes.

    Raises:
        InputError: names the line: an unknown bone, another count of numbers than its dof, a frame without all bones.
    """
    lines = TextLines(text, where, _EXPECTED)
    size = {bone.name: len(bone.dof) for bone in skeleton.bones}
    frames: list[tuple[int, list[tuple[int, list[str]]]]] = []  # number, and its lines with the number of each
    for words in lines:
        if len(words) == 1 and words[0].isdecimal() and len(words[0]) < 10:
            number = int(words[0])
            if frames and number <= frames[-1][0]:
                lines.fail(f"frame {number} after frame {frames[-1][0]}", "frame numbers that increase")
            frames.append((number, []))
        elif frames:
            frames[-1][1].append((lines.line, words))
        elif not words[0].startswith(":") or words[0].upper() == ":RADIANS":
            lines.fail(f"'{words[0][:40]}'", ":DEGREES, or the number of a frame")
    if not frames:
        lines.fail("no frame")
    table: dict[str, list[list[float]]] = {}
    notes: list[str] = []
    for index, (number, content) in enumerate(frames):
        may_be_cut = index > 0 and index == len(frames) - 1
        try:
            if may_be_cut and text[-1:] not in ("\n", "\r"):
                lines.fail("the end of the file within a number")
            frame = _frame(content, size, lines)
            if index == 0:
                table = {name: [] for name in frame}
            if frame.keys() != table.keys():
                odd = sorted(frame.keys() ^ table.keys())
                lines.fail(f"frame {number} with other bones than the first ('{odd[0]}')", "the same in each frame")
        except InputError:
            if not may_be_cut:
                raise
            notes.append(f"The file ends within frame {number}, which was left out.")
            frames.pop()
            break
        for name, values in frame.items():
            table[name].append(values)
    return (
        [number for number, _ in frames],
        {name: torch.tensor(rows, dtype=torch.float64) for name, rows in table.items()},
        notes,
    )


def _frame(content: list[tuple[int, list[str]]], size: dict[str, int], lines: TextLines) -> dict[str, list[float]]:
    frame: dict[str, list[float]] = {}
    for line, (name, *words) in content:
        lines.line = line
        if name not in size or name in frame:
            lines.fail(f"'{name[:40]}'", "each bone of the .asf at most once in a frame")
        frame[name] = lines.numbers(words, size[name])
    if "root" not in frame:
        lines.fail("a frame without 'root'", "'root' in each frame")
    return frame


def find_asf(path: Path) -> Path:
    """The skeleton of a motion, in the same folder: `02.asf` for `02_03.amc`, or else the only one.

    Raises:
        InputError: none, or several without a like name; says what was looked for.
    """
    there = {other.name.lower(): other for other in path.parent.iterdir() if other.suffix.lower() == ".asf"}
    parts = path.stem.split("_")
    wanted = ["_".join(parts[:count]) + ".asf" for count in range(len(parts), 0, -1)]
    for name in wanted:
        if name.lower() in there:
            return there[name.lower()]
    if len(there) == 1:
        return next(iter(there.values()))
    raise InputError(
        path,
        found=f"{len(there)} .asf files in its folder, none of them " + " or ".join(wanted),
        expected="the skeleton of the motion",
        fix="Put the .asf file of the subject into the same folder.",
    )


def _turns(bone: AsfBone, values: Tensor) -> Tensor:
    """`[T, dof] -> [T, 3, 3]`, relative to the parent. A turn that the bone has not is zero."""
    columns = [at for at, dof in enumerate(bone.dof) if dof.startswith("r")][::-1]  # the first to turn stands last
    turn = _matrix(values[:, columns], "".join(bone.dof[at][1] for at in columns).upper())
    degrees, order = bone.axes
    own = _matrix(torch.tensor([degrees["XYZ".index(axis)] for axis in order[::-1]])[None].double(), order[::-1])
    return own @ turn @ own.mT


def _matrix(angles: Tensor, axes: str) -> Tensor:
    return euler_to_matrix(angles[:, None], axes)[:, 0]


def _text(path: Path) -> str:
    content = read_bytes(path, expected="a text file", fix="Check the path.")
    return content.decode("utf-8-sig", errors="replace")


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    if path.suffix.lower() == ".asf":
        raise InputError(
            path, found="a skeleton without motion", expected="an .amc file", fix="Give the .amc files next to it."
        )
    where = find_asf(path)
    skeleton = parse_asf(_text(where), where)
    bones = skeleton.bones
    numbers, table, notes = parse_amc(_text(path), path, skeleton)
    check_size(path, len(numbers), len(bones))
    local = torch.eye(3, dtype=torch.float64).repeat(len(numbers), len(bones), 1, 1)  # [T, J, 3, 3]
    for joint, bone in enumerate(bones):
        if bone.name in table:
            local[:, joint] = _turns(bone, table[bone.name])
    # A joint is the start of its bone: from the start of the parent it is as far as the parent's bone reaches.
    steps = torch.tensor([bones[max(bone.parent, 0)].step for bone in bones], dtype=torch.float64)  # [J, 3]
    parents = tuple(bone.parent for bone in bones)
    world = world_rotations(parents, local)
    places = world_places(parents, world, steps)
    root = torch.tensor(skeleton.position, dtype=torch.float64).repeat(len(numbers), 1)
    for at, dof in enumerate(bones[0].dof):
        if dof.startswith("t"):
            root[:, "xyz".index(dof[1])] += table["root"][:, at]
    if options.fps is None:
        notes.append(f"AMC files do not say their frame rate: {FPS:g} frames a second are assumed, as CMU recorded.")
    yield Reading(
        SourceMotion(
            name=path.stem,
            joints=tuple(bone.name for bone in bones),
            parents=parents,
            times=torch.tensor([number - numbers[0] for number in numbers]).double() / (options.fps or FPS),
            positions=places + root[:, None],
            rotations=world,
            rest=rest_places(parents, steps),
            metres_per_unit=options.metres(INCH / skeleton.length if skeleton.length else None),
            up=options.up,
        ),
        notes=tuple(notes),
    )


FORMAT = Format(
    name="ASF/AMC",
    suffixes=(".amc", ".asf"),
    carries="a skeleton and its rotations; the .asf lies next to the .amc",
    loses="the frame rate, which is taken as CMU's 120",
    recognises=any_file,
    read=_read,
)
