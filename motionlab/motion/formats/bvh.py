"""Read BVH files (Biovision hierarchy): the text that Blender, MotionBuilder and most mocap archives exchange.

A file has two parts. `HIERARCHY` is a tree: each joint has an OFFSET from its parent in the rest pose and a list of
CHANNELS. `MOTION` has one row per frame with the value of every channel, in the order of the tree. A joint's rotation
is the product of its channels in the order written, so "Zrotation Xrotation Yrotation" means Rz Rx Ry, in degrees.
`bvh_tree.py` reads the first part, `bvh_rows.py` the second; writing is in `bvh_write.py`.

Dialects that other programs read are read, and said in notes where something was left out or assumed. A number with a
decimal comma is refused: in "0,5" the comma may as well part two numbers.

The reader is our own: of 26 dialect files and 15 real ones it opens 25 and 15, pybvh 0.9.0 12 and 12, bvhio 1.5.4 12
and 15 (and never comes back from two), pymotion 0.3.4 14 and 14, and it is faster than each (`benchmarks/bvh.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.reading import read_bytes
from motionlab.motion.formats.bvh_positions import ADDED, are_added, track_of
from motionlab.motion.formats.bvh_rows import read_rows
from motionlab.motion.formats.bvh_tree import BvhJoint, BvhText, decode, read_motion_header, read_tree
from motionlab.motion.formats.euler_angles import euler_to_matrix
from motionlab.motion.formats.joint_tree import check_size, rest_places, world_places, world_rotations
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.frame_rate import whole_rate

STILL = 1e-3  # of the sum of all bones: a joint that moves less from its parent does not move
LONGEST_STEP = 0.1  # seconds between frames; slower files are key frames, and their real rate is not in them
_SCALED = 1e-3  # a scale channel that is nearer to 1 does nothing


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
        moving: joints other than the root that change their place relative to their parent, each with its `[T, 3]`
            from the parent. Most files have none.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Tensor
    rotations: Tensor
    root_position: Tensor
    fps: float
    moving: dict[int, Tensor] | None = None

    def __len__(self) -> int:
        return self.rotations.shape[0]

    def world_rotations(self) -> Tensor:
        """`[T, J, 3, 3]`, each relative to the world."""
        return world_rotations(self.parents, self.rotations)

    def joints(self, world: Tensor | None = None) -> Tensor:
        """Positions by forward kinematics, `[T, J, 3]` in the units of the file.

        Args:
            world: `world_rotations()`, where they are known already.
        """
        tracks = {0: self.root_position, **(self.moving or {})}
        return world_places(self.parents, self.world_rotations() if world is None else world, self.offsets, tracks)


def read_bvh(path: str | Path) -> BvhClip:
    """Read a BVH file of any joint tree and channel order; float64.

    Rows that are missing or too many, joints that move away from their parents, names that were made different, and
    bodies after the first are said in a warning. Position channels replace the OFFSET, but see `bvh_positions.py`.

    Raises:
        InputError: names the file and the line that cannot be understood.
    """
    return _first(*_parse(_content(Path(path)), path), where=path)


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
    return _first(*_parse(text, where), where=where)


def _first(clips: list[BvhClip], notes: list[str], where: object) -> BvhClip:
    for note in [*notes, *(["only the first body is used."] if len(clips) > 1 else [])]:
        warnings.warn(f"{where}: {note}", stacklevel=3)
    return clips[0]


def _content(path: Path) -> str:
    return decode(read_bytes(path, expected="a BVH file", fix="Check the path."))


def _parse(content: str, where: object, fps: float | None = None) -> tuple[list[BvhClip], list[str]]:
    """A clip for each root of the file, and notes."""
    text = BvhText(content, where)
    joints, notes = read_tree(text)
    frames, fps = read_motion_header(text, fps)
    table, said = read_rows(text, frames, sum(len(joint.channels) for joint in joints))
    notes += said
    check_size(where, len(table), len(joints))
    roots = [index for index, joint in enumerate(joints) if joint.parent < 0]
    clips, column = [], 0
    for start, end in zip(roots, [*roots[1:], len(joints)], strict=True):
        tree = [BvhJoint(j.name, max(j.parent - start, -1), j.offset, j.channels) for j in joints[start:end]]
        columns = sum(len(joint.channels) for joint in tree)
        clip, said = _assemble(tree, table[:, column : column + columns], whole_rate(fps), where)
        clips.append(clip)
        notes += said
        column += columns
    if len(clips) > 1:
        names = ", ".join(clip.names[0] for clip in clips[:10])
        notes.append(f"The file has {len(clips)} roots ({names}): each is read as a body of its own.")
    for clip in clips:
        if clip.moving:
            moving = ", ".join(clip.names[joint] for joint in list(clip.moving)[:10])
            notes.append(f"Joints that change their distance from their parent keep their own track: {moving}.")
    return clips, notes


def _assemble(tree: list[BvhJoint], table: Tensor, fps: float, where: object) -> tuple[BvhClip, list[str]]:
    """Columns of numbers to rotations and places, and notes."""
    offsets = torch.tensor([joint.offset for joint in tree], dtype=torch.float64)  # [J, 3]
    size = float(offsets.norm(dim=-1).sum())
    rotations = torch.empty(len(table), len(tree), 3, 3, dtype=torch.float64)
    alike: dict[str, tuple[list[int], list[int]]] = {}  # order of axes -> joints, columns of their angles
    channels: dict[int, dict[int, Tensor]] = {}  # joint -> axis -> [T]
    column = 0
    for index, joint in enumerate(tree):
        axes, columns = "", []
        for channel in joint.channels:
            if channel.endswith("rotation"):
                axes += channel[0]
                columns.append(column)
            elif channel.endswith("position"):
                channels.setdefault(index, {})["XYZ".index(channel[0])] = table[:, column]
            elif float((table[:, column] - 1).abs().max()) > _SCALED:
                raise InputError(
                    where,
                    found=f"joint '{joint.name}' that is scaled",
                    expected="scale channels that are 1",
                    fix="Export the motion without scaling.",
                )
            column += 1
        joints, known = alike.setdefault(axes, ([], []))
        joints.append(index)
        known += columns
    for axes, (joints, columns) in alike.items():
        angles = table[:, columns].reshape(len(table), len(joints), len(axes))
        if len(joints) == len(tree):
            euler_to_matrix(angles, axes, rotations)
        else:
            rotations[:, joints] = euler_to_matrix(angles, axes)
    added = are_added({index: axes for index, axes in channels.items() if index}, offsets)
    tracks = {  # [T, 3] each; a root has no bone that its place could be added to
        index: track_of(axes, offsets[index], added=added and index > 0) for index, axes in channels.items()
    }
    moving = {}
    for index, track in tracks.items():
        still = float((track - track[0]).abs().max()) <= STILL * size
        if index and not still:
            moving[index] = track
        if index == 0 or still or not offsets[index].any():
            offsets[index] = track[0]
    clip = BvhClip(
        names=tuple(joint.name for joint in tree),
        parents=tuple(joint.parent for joint in tree),
        offsets=offsets,
        rotations=rotations,
        root_position=tracks.get(0, offsets[0].repeat(len(table), 1)),
        fps=fps,  # files write 0.008333 for 1/120
        moving=moving or None,
    )
    return clip, [ADDED] if added else []


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    clips, notes = _parse(_content(path), path, options.fps)
    for number, clip in enumerate(clips, start=1):
        if options.fps is None and len(clip) > 1 and clip.fps < 1 / LONGEST_STEP:
            raise InputError(
                path,
                found=f"{clip.fps:.3g} frames a second",
                expected=f"at least {1 / LONGEST_STEP:g}: a file of key frames does not say how fast they follow",
                fix="Say the frames a second with --fps.",
            )
        world = clip.world_rotations()
        yield Reading(
            SourceMotion(
                name=path.stem if len(clips) == 1 else f"{path.stem}_{number}",
                joints=clip.names,
                parents=clip.parents,
                times=torch.arange(len(clip), dtype=torch.float64) / clip.fps,
                positions=clip.joints(world),
                rotations=world,
                rest=rest_places(clip.parents, clip.offsets),
                metres_per_unit=options.metres(None),
                up=options.up,
            ),
            notes=tuple(notes),
        )


FORMAT = Format(
    name="BVH",
    suffixes=(".bvh",),
    carries="a skeleton of any shape and its rotations",
    loses="the unit and which way is up; both are found from the poses",
    recognises=any_file,
    read=_read,
)
