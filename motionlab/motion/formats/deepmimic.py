"""Read motions in the DeepMimic layout: a JSON file, one row of 44 numbers per frame.

The layout is that of Peng et al., "DeepMimic" (2018); the `pybullet` package carries twenty such clips. A row holds:

| numbers | content                          | numbers | content                         |
|---------|----------------------------------|---------|---------------------------------|
| 0       | time until the next frame, s     | 25:29   | right shoulder, quaternion      |
| 1:4     | root position, m                 | 29      | right elbow, angle              |
| 4:8     | root, quaternion                 | 30:34   | left hip, quaternion            |
| 8:12    | chest, quaternion                | 34      | left knee, angle                |
| 12:16   | neck, quaternion                 | 35:39   | left ankle, quaternion          |
| 16:20   | right hip, quaternion            | 39:43   | left shoulder, quaternion       |
| 20      | right knee, angle                | 43      | left elbow, angle               |
| 21:25   | right ankle, quaternion          |         |                                 |

Quaternions are (w, x, y, z), relative to the parent; angles are radians about the joint's own z axis. Axes: x forward,
y up, z to the right.

The bones of our skeleton were made from this body, so its joints come out exactly where they are: `retarget_deepmimic`
changes axes (a point becomes `M p`, a rotation `M R M^T`) and the rest pose of the arms, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.reading import read_bytes, refusing
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.resampling import ROUNDED, frame_times, sample_linear, sample_quaternions
from motionlab.motion.rotations import axis_angle_to_matrix, quaternion_to_matrix
from motionlab.motion.skeleton import JOINT_NAMES, canonical_skeleton, forward_kinematics

ROW_LENGTH = 44
DOG_ROW_LENGTH = 84
# (x forward, y up, z right) -> (x left, y up, z forward)
_AXES = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
_BEGINNING = 1 << 12  # bytes
LARGEST = 1e6  # metres, radians or seconds
QUATERNIONS: dict[str, int] = {
    "root": 4,
    "chest": 8,
    "neck": 12,
    "right_hip": 16,
    "right_ankle": 21,
    "right_shoulder": 25,
    "left_hip": 30,
    "left_ankle": 35,
    "left_shoulder": 39,
}
ANGLES: dict[str, int] = {"right_knee": 20, "right_elbow": 29, "left_knee": 34, "left_elbow": 43}


@dataclass(frozen=True)
class DeepMimicClip:
    """One clip as the file has it: own axes, own joints, frames at irregular times.

    Args:
        times: `[T]` seconds, from 0, increasing.
        root_position: `[T, 3]` metres.
        quaternions: joint name to `[T, 4]`, unit length.
        angles: joint name to `[T]` radians.
        wraps: the file says that the motion may be repeated.
    """

    times: Tensor
    root_position: Tensor
    quaternions: dict[str, Tensor]
    angles: dict[str, Tensor]
    wraps: bool


def read_deepmimic(source: str | Path | bytes, name: str | None = None) -> DeepMimicClip:
    """Read a clip from a file, or from the bytes of one (a member of a zip file needs no temporary copy).

    Args:
        source: a path or the file's content.
        name: what to call the source in messages; by default the path.

    Raises:
        InputError: not JSON, not this layout, numbers that are not finite, or time that does not move on.

    >>> row = [0.1, 0, 0.9, 0] + [1, 0, 0, 0] * 4 + [0] + [1, 0, 0, 0] * 2 + [0] + [1, 0, 0, 0] + [0]
    >>> row += [1, 0, 0, 0] * 2 + [0]
    >>> clip = read_deepmimic(json.dumps({"Loop": "wrap", "Frames": [row, row]}).encode())
    >>> clip.times
    tensor([0.0000, 0.1000], dtype=torch.float64)
    """
    where = name or (str(source) if isinstance(source, (str, Path)) else "DeepMimic clip")
    document = _parse(source, where)
    rows = document.get("Frames") if isinstance(document, dict) else None
    if not isinstance(rows, list) or len(rows) < 2:
        raise _wrong(where, f"no list 'Frames' with at least two rows ({type(document).__name__})")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != ROW_LENGTH:
            size = len(row) if isinstance(row, list) else type(row).__name__
            body = ", which is a dog (laikago)" if size == DOG_ROW_LENGTH else ""
            raise _wrong(where, f"frame {number} of {size} numbers{body}")
        if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in row):
            raise _wrong(where, f"something that is not a number in frame {number}")
    try:
        table = torch.tensor(rows, dtype=torch.float64)  # [T, 44]
    except (OverflowError, RuntimeError) as error:
        raise _wrong(where, f"a number that is too large ({error})") from error
    if not bool(torch.isfinite(table).all()):
        frame = int((~torch.isfinite(table)).nonzero()[0, 0])
        raise _wrong(where, f"a number that is not finite in frame {frame}")
    if float(table.abs().max()) > LARGEST:  # sums and products of larger ones overflow far from here
        raise _wrong(where, f"the number {float(table.abs().max()):.3g}")
    steps = table[:-1, 0]  # the last frame has no next one; files write 0 or repeat the step there
    if not bool((steps > 0).all()):
        raise _wrong(where, f"time step {float(steps.min())} in frame {int(steps.argmin())}")
    quaternions = {}
    for joint, start in QUATERNIONS.items():
        values = table[:, start : start + 4]
        length = values.norm(dim=-1, keepdim=True)
        if not bool(((length - 1).abs() < 0.5).all()):
            raise _wrong(where, f"a quaternion of length {float(length.min()):.3g} at joint {joint}")
        quaternions[joint] = values / length  # some files were edited by hand: lengths down to 0.58
    return DeepMimicClip(
        times=torch.cat((steps.new_zeros(1), steps.cumsum(0))),
        root_position=table[:, 1:4],
        quaternions=quaternions,
        angles={joint: table[:, column] for joint, column in ANGLES.items()},
        wraps=document.get("Loop") == "wrap",
    )


def retarget_deepmimic(clip: DeepMimicClip, fps: float = 30.0, rounded: float = ROUNDED) -> tuple[Tensor, Tensor]:
    """A DeepMimic clip on the 22 joints, at a steady frame rate.

    Args:
        rounded: how much of a frame the duration may lack.

    Returns:
        local rotations `[T, 22, 3, 3]` and pelvis position `[T, 3]` in metres, float64.
    """
    moments = frame_times(float(clip.times[-1]), fps, len(clip.times), rounded)
    axes = torch.tensor(_AXES, dtype=torch.float64)
    turned: dict[str, Tensor] = {}
    for joint, quaternion in clip.quaternions.items():
        turned[joint] = axes @ quaternion_to_matrix(sample_quaternions(quaternion, clip.times, moments)) @ axes.T
    for joint, angle in clip.angles.items():
        about_z = torch.stack((angle * 0, angle * 0, angle), dim=-1)  # [T, 3]
        turned[joint] = axes @ axis_angle_to_matrix(sample_linear(about_z, clip.times, moments)) @ axes.T

    rotations = torch.eye(3, dtype=torch.float64).repeat(len(moments), len(JOINT_NAMES), 1, 1)  # [T, 22, 3, 3]
    names = {"root": "pelvis", "chest": "spine2"}
    for joint, rotation in turned.items():
        rotations[:, JOINT_NAMES.index(names.get(joint, joint))] = rotation
    for side, sign in (("left", -1.0), ("right", 1.0)):
        # DeepMimic's arms hang in its rest pose, ours point sideways: A turns the T-pose arm down.
        down = axis_angle_to_matrix(torch.tensor([0.0, 0.0, sign * math.pi / 2], dtype=torch.float64))
        shoulder, elbow = JOINT_NAMES.index(f"{side}_shoulder"), JOINT_NAMES.index(f"{side}_elbow")
        rotations[:, shoulder] = rotations[:, shoulder] @ down
        rotations[:, elbow] = down.T @ rotations[:, elbow] @ down
    root_position = sample_linear(clip.root_position, clip.times, moments) @ axes.T
    return rotations, root_position


def _parse(source: str | Path | bytes, where: str) -> Any:
    if not isinstance(source, bytes):
        with refusing(where, expected="a DeepMimic motion file", fix="Check the path."):
            source = read_bytes(source, expected="a DeepMimic motion file", fix="Check the path.")
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise _wrong(where, f"text that is not JSON ({error})") from error


def _wrong(where: str, found: str) -> InputError:
    return InputError(
        where,
        found=found,
        expected=f"a DeepMimic motion: JSON with 'Frames', rows of {ROW_LENGTH} numbers",
        fix="Use a humanoid3d motion file; other bodies (for example laikago) have another layout.",
    )


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    clip = read_deepmimic(path)
    if options.fps is not None:
        clip = replace(clip, times=torch.arange(len(clip.times), dtype=torch.float64) / options.fps)
    rotations, pelvis = retarget_deepmimic(clip)
    joints = forward_kinematics(rotations, pelvis, canonical_skeleton(torch.float64).offsets)
    yield Reading(Motion.from_joints_rotations(joints.float(), rotations.float(), name=path.stem))


def _has_frames(path: Path) -> bool:
    """JSON whose first keys include `Frames`: other JSON lies next to motions, too, as Kimodo's meta.json."""
    with open(path, "rb") as file:
        beginning = file.read(_BEGINNING)
    return beginning.lstrip().startswith(b"{") and b'"Frames"' in beginning


FORMAT = Format(
    name="DeepMimic",
    suffixes=(".txt", ".json"),
    carries="rotations of 12 joints and the place of the root, at irregular times",
    loses="collars, spine in parts, toes, wrists",
    recognises=_has_frames,
    read=_read,
)
