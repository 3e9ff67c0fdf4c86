"""Read places of joints: `[T, J, 3]` as `.npy`, or as `.npz` with names, tree and frame rate next to them.

HumanML3D's `new_joints` are such files, and so is most network output and most of pose estimation. There are no
rotations in them; `retargeting/` solves those from the places.

An `.npy` says nothing about itself. A body of 22, 24, 45, 52, 55, 127 or 144 joints is taken for the SMPL family,
whose first 22 joints are ours; any other number needs names. The frame rate has to be given, because 20 (HumanML3D), 30
and 60 are all common and nothing in the file tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from motionlab.files.arrays import ArrayHeader
from motionlab.motion.formats.numpy_motion import (
    FPS_KEYS,
    SUFFIXES,
    file_fps,
    has_numbers,
    headers,
    load,
    need_fps,
    numbers,
    times_at,
    wrong,
)
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.skeleton import JOINT_COUNT, JOINT_NAMES, PARENTS

PLACES = (
    "joints", "positions", "joint_positions", "keypoints", "keypoints3d", "keypoints_3d", "poses3d", "joints3d",
    "joints_3d", "new_joints",
)  # fmt: skip
NAMES = ("joint_names", "names", "joints_names", "keypoint_names")
TREE = "parents"
TIMES = ("times", "time", "timestamps")
KNOWN_RATES = "HumanML3D's new_joints have 20, MotionMillion 30"
# Bodies whose first 22 joints are ours: SMPL with and without its hands, SMPL with landmarks, SMPL-H, SMPL-X with and
# without landmarks.
SMPL_COUNTS = {22: "SMPL", 24: "SMPL", 45: "SMPL", 52: "SMPL-H", 55: "SMPL-X", 127: "SMPL-X", 144: "SMPL-X"}


def joints_source(
    path: Path,
    places: Tensor,
    times: Tensor,
    names: Sequence[str] | None,
    options: ReadOptions,
    parents: Sequence[int] | None = None,
) -> Reading:
    """A `Reading` of places, with the names of the file or those that its number of joints implies.

    Args:
        places: `[T, J, 3]`.
        times: `[T]` seconds.
        names: of the `J` joints; None where the file has none.
        parents: the tree of the file, where it has one.

    Raises:
        InputError: no names, and a number of joints that implies none; a name twice.
    """
    notes = []
    if names is None:
        count = places.shape[1]
        if count not in SMPL_COUNTS:
            raise wrong(
                path,
                f"{count} joints without names",
                f"{', '.join(map(str, SMPL_COUNTS))} joints (the SMPL family), or names",
                "Save an .npz with 'joints' [T, J, 3], 'joint_names' and 'fps'.",
            )
        notes.append(
            f"The file names no joints; its {count} were taken for those of {SMPL_COUNTS[count]}, the first 22 "
            "of which are ours."
        )
        places, names = places[:, :JOINT_COUNT], JOINT_NAMES
    twice = sorted({one for one in names if list(names).count(one) > 1})
    if twice:
        raise wrong(path, f"joint {twice[0]!r} twice", "a name of its own for each joint")
    if parents is None or len(parents) != len(names):
        parents = _our_tree(names)
    motion = SourceMotion(
        path.stem, tuple(names), tuple(parents), times, places, metres_per_unit=options.metres(None), up=options.up
    )
    return Reading(motion, notes=tuple(notes))


def _our_tree(names: Sequence[str]) -> list[int]:
    """The tree is ours where the names are; of other names nothing is known."""
    lower = [one.lower() for one in names]
    above = {one: JOINT_NAMES[PARENTS[joint]] for joint, one in enumerate(JOINT_NAMES) if joint}
    parents = [lower.index(above[one]) if above.get(one) in lower else -1 for one in lower]
    return parents if all(parent < joint for joint, parent in enumerate(parents)) else [-1] * len(parents)


def _places(found: dict[str, ArrayHeader]) -> str | None:
    """Name of the array that holds places: `[T, J, 3]`, or `[1, T, J, 3]`."""
    for name in ("", *PLACES):
        header = found.get(name)
        if has_numbers(header, None, None, 3) or has_numbers(header, 1, None, None, 3):
            return name
    return None


def _recognises(path: Path) -> bool:
    return _places(headers(path)) is not None


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    found = headers(path)
    key = _places(found)
    assert key is not None
    arrays = load(path, (key, *NAMES, TREE, *TIMES, *FPS_KEYS) if key else (key,))
    values = arrays[key]
    places = numbers(path, key, values.reshape(values.shape[-3:]))  # [T, J, 3]
    names = _names(path, arrays, places.shape[1])
    times = next((numbers(path, name, arrays[name]).flatten() for name in TIMES if name in arrays), None)
    if times is None or options.fps is not None:
        times = times_at(len(places), need_fps(path, file_fps(path, arrays, options), KNOWN_RATES))
    else:
        times = times - times[0]
    tree = arrays.get(TREE)
    parents = None if tree is None or tree.dtype.kind not in "iu" or tree.ndim != 1 else tree.tolist()
    yield joints_source(path, places, times, names, options, parents)


def _names(path: Path, arrays: dict[str, np.ndarray], count: int) -> list[str] | None:
    for key in NAMES:
        if key in arrays:
            names = [str(one) for one in arrays[key].reshape(-1).tolist()]
            if len(names) != count:
                raise wrong(path, f"{len(names)} names for {count} joints", "one name a joint")
            return names
    return None


FORMAT = Format(
    name="joints",
    suffixes=SUFFIXES,
    carries="places of joints [T, J, 3]; in an .npz also their names and the frame rate",
    loses="rotations (solved from the places); an .npy also the frame rate",
    recognises=_recognises,
    read=_read,
)
