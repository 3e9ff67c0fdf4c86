"""Read AMASS archives: SMPL-H and SMPL-X parameters in an `.npz`.

| array                                  | content                                                             |
|----------------------------------------|---------------------------------------------------------------------|
| `poses`                                | `[T, 72]` SMPL, `[T, 156]` SMPL-H or `[T, 165]` SMPL-X, axis-angle   |
| or `root_orient` and `pose_body`       | `[T, 3]` and `[T, 63]`, the same 66 numbers in two arrays            |
| `trans`                                | `[T, 3]` metres                                                      |
| `mocap_framerate`, `mocap_frame_rate`  | frames a second, often 120, 100 or 59.97                             |

The world has z up (Mahmood et al., "AMASS", 2019). `gender`, `betas` and `dmpls` need the body model and are not read;
some archives keep Python objects next to the motion, which are never unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from motionlab.motion.formats.numpy_motion import (
    FPS_KEYS,
    file_fps,
    has_numbers,
    headers,
    load,
    need_fps,
    numbers,
    wrong,
)
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.smpl_pose import BODY, BODY_NOTE, smpl_motion
from motionlab.motion.formats.source import Reading, ReadOptions

WIDTHS = (66, 72, 156, 165)  # numbers a frame of `poses`; the first 66 are the same joints in all of them


def _recognises(path: Path) -> bool:
    if path.suffix.lower() != ".npz":
        return False
    found = headers(path)
    return "trans" in found and ("poses" in found or {"root_orient", "pose_body"} <= set(found))


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    found = headers(path)
    parts = ("poses",) if "poses" in found else ("root_orient", "pose_body")
    widths = {"poses": WIDTHS, "root_orient": (3,), "pose_body": (BODY - 3,), "trans": (3,)}
    for name in (*parts, "trans"):
        if not any(has_numbers(found[name], None, width) for width in widths[name]):
            choices = " or ".join(f"[T, {width}]" for width in widths[name])
            raise wrong(path, f"{name} of shape {found[name].shape}", f"{choices} numbers")
    arrays = load(path, (*parts, "trans", *FPS_KEYS))
    fps = need_fps(path, file_fps(path, arrays, options), "most of AMASS has 120")
    body = torch.cat([numbers(path, name, arrays[name][:, :BODY]) for name in parts], dim=-1)  # [T, 66]
    travel = numbers(path, "trans", arrays["trans"])
    if len(travel) != len(body):
        raise wrong(path, f"{len(body):,} poses and {len(travel):,} translations", "one of each a frame")
    yield Reading(smpl_motion(body, travel, fps, path.stem, z_up=True), notes=(BODY_NOTE,))


FORMAT = Format(
    name="AMASS (SMPL, SMPL-H, SMPL-X)",
    suffixes=(".npz",),
    carries="rotations of our 22 joints, travel, frame rate",
    loses="the shape of the body, hands and face; places of joints differ by 5 cm from the body model's",
    recognises=_recognises,
    read=_read,
)
