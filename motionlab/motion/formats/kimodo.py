"""Read motions that Kimodo wrote: an `.npz` with `posed_joints` and `global_rot_mats`, text in `meta.json`.

Joint names are not in the file; the number of joints tells which of Kimodo's skeletons it is. Names, order and tree of
SOMA's 30 and 77 joints are those of its module `kimodo.skeleton.definitions` (NVIDIA, Apache-2.0). On a real file every
bone of that tree keeps its length to a micrometre, which it would not in another order. 22 joints are SMPL-X's, which
are ours. 30 frames a second, metres, y up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.reading import read_text
from motionlab.files.records import parse_json
from motionlab.motion.formats.numpy_motion import (
    FPS_KEYS,
    file_fps,
    has_numbers,
    headers,
    load,
    numbers,
    times_at,
    wrong,
)
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions, SourceMotion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

FPS = 30.0
META = "meta.json"
G1_JOINTS = 34
LARGEST_META = 1 << 20  # bytes
LONGEST_CAPTION = 10_000  # letters
_FINGERS = ("Index", "Middle", "Ring", "Pinky")


def _soma(fingers: bool) -> tuple[tuple[str, str], ...]:
    """Joint and parent, in the order of the file: 77 with fingers, 30 with two tips a hand instead."""
    trunk = ["Hips", "Spine1", "Spine2", "Chest", "Neck1", "Neck2", "Head"]
    pairs = list(zip(trunk, ["", *trunk[:-1]], strict=True))
    pairs += [(name, "Head") for name in (["HeadEnd"] if fingers else []) + ["Jaw", "LeftEye", "RightEye"]]
    for side in ("Left", "Right"):
        arm = [f"{side}{name}" for name in ("Shoulder", "Arm", "ForeArm", "Hand")]
        pairs += zip(arm, ["Chest", *arm[:-1]], strict=True)
        if not fingers:
            pairs += [(f"{arm[-1]}{name}End", arm[-1]) for name in ("Thumb", "Middle")]
            continue
        for finger, bones in (("Thumb", 3), *((name, 4) for name in _FINGERS)):
            chain = [f"{arm[-1]}{finger}{part}" for part in (*range(1, bones + 1), "End")]
            pairs += zip(chain, [arm[-1], *chain[:-1]], strict=True)
    for side in ("Left", "Right"):
        leg = [f"{side}{name}" for name in ("Leg", "Shin", "Foot", "ToeBase", *(["ToeEnd"] if fingers else []))]
        pairs += zip(leg, ["Hips", *leg[:-1]], strict=True)
    return tuple(pairs)


def _tree(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    names = tuple(name for name, _ in pairs)
    return names, tuple(names.index(parent) if parent else -1 for _, parent in pairs)


SKELETONS: dict[int, tuple[tuple[str, ...], tuple[int, ...]]] = {
    30: _tree(_soma(fingers=False)),
    77: _tree(_soma(fingers=True)),
    22: (JOINT_NAMES, PARENTS),
}


def measure_rest(positions: Tensor, rotations: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Places of the joints when every rotation is the identity, `[J, 3]`, the root at the origin.

    Args:
        positions: `[T, J, 3]`.
        rotations: `[T, J, 3, 3]`, relative to the world.
    """
    rest = [torch.zeros_like(positions[0, 0])]
    for joint in range(1, len(parents)):
        bone = positions[:, joint] - positions[:, parents[joint]]  # [T, 3]
        offset = (rotations[:, parents[joint]].mT @ bone[..., None])[..., 0].mean(0)
        rest.append(rest[parents[joint]] + offset)
    return torch.stack(rest)


def _recognises(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and "posed_joints" in headers(path)


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    found = headers(path)
    shape = found["posed_joints"].shape
    count = shape[-2] if len(shape) in (3, 4) else 0
    if count == G1_JOINTS:
        raise wrong(
            path,
            "34 joints, those of the robot G1",
            "a person: 30 or 77 joints of SOMA, or 22 of SMPL-X",
            "Generate with a SOMA or SMPL-X model of Kimodo.",
        )
    if count not in SKELETONS or not _fits(found.get("posed_joints"), count, 3):
        raise wrong(path, f"posed_joints of shape {shape}", "[T, 30, 3], [T, 77, 3] or [T, 22, 3] numbers")
    if not _fits(found.get("global_rot_mats"), count, 3, 3):
        there = found["global_rot_mats"].shape if "global_rot_mats" in found else "nothing"
        raise wrong(path, f"global_rot_mats: {there}", f"[T, {count}, 3, 3] numbers")
    arrays = load(path, ("posed_joints", "global_rot_mats", *FPS_KEYS))
    positions = numbers(path, "posed_joints", arrays["posed_joints"].reshape(-1, count, 3))
    rotations = numbers(path, "global_rot_mats", arrays["global_rot_mats"].reshape(-1, count, 3, 3))
    if len(positions) != len(rotations):
        raise wrong(path, f"{len(positions):,} poses and {len(rotations):,} rotations", "one of each a frame")
    away = (rotations @ rotations.mT - torch.eye(3, dtype=rotations.dtype)).abs().amax()
    if float(away) > 1e-2 or not bool((torch.linalg.det(rotations) > 0).all()):
        raise wrong(path, f"global_rot_mats that are no rotations ({float(away):.2g} off)", "rotation matrices")
    names, parents = SKELETONS[count]
    motion = SourceMotion(
        path.stem,
        names,
        parents,
        times_at(len(positions), file_fps(path, arrays, options) or FPS),
        positions,
        rotations,
        measure_rest(positions, rotations, parents),
        metres_per_unit=options.metres(1.0),
        up=options.up or "y",
    )
    captions, notes = _captions(path.with_name(META))
    yield Reading(motion, captions, notes)


def _fits(header: Any, *shape: int) -> bool:
    """`[T, ...]`, or a batch of one of it."""
    return has_numbers(header, None, *shape) or has_numbers(header, 1, None, *shape)


def _captions(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences of a `meta.json`, and a note when there is one that cannot be read: the motion is good without it."""
    if not path.exists():
        return (), ()
    expected, fix = "JSON with 'text'", "Correct it, or remove it."
    try:
        text = read_text(path, expected=expected, fix=fix, most=LARGEST_META)
        values = parse_json(text, path, expected=expected, fix=fix)
        texts = values.get("text", values.get("texts", values.get("prompts"))) if isinstance(values, dict) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise wrong(path, "no text", expected, fix)
    except InputError as error:
        return (), (f"No caption was read: {error}",)
    # Halves of surrogate pairs are no text that a file takes.
    texts = [text.encode(errors="backslashreplace").decode().strip()[:LONGEST_CAPTION] for text in texts]
    return tuple(text for text in texts if text), ()


FORMAT = Format(
    name="Kimodo",
    suffixes=(".npz",),
    carries="places and rotations of 30 or 77 SOMA joints (or 22 of SMPL-X), captions from meta.json",
    loses="contacts of the feet",
    recognises=_recognises,
    read=_read,
)
