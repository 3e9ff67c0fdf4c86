"""Read SMPL, SMPL-H and SMPL-X parameters out of an `.npz`: AMASS, and what programs for the same models write.

| arrays                                 | content                                                             |
|----------------------------------------|---------------------------------------------------------------------|
| `poses`                                | `[T, 72]` SMPL, `[T, 156]` SMPL-H or `[T, 165]` SMPL-X, axis-angle   |
| or `root_orient` and `pose_body`       | `[T, 3]` and `[T, 63]`, the same 66 numbers in two arrays            |
| or `global_orient` and `body_pose`     | the same two under the names of the `smplx` package                  |
| `trans` or `transl`                    | `[T, 3]` metres                                                      |
| `mocap_framerate`, `mocap_frame_rate`  | frames a second, often 120, 100 or 59.97                             |

AMASS has z up (Mahmood et al., "AMASS", 2019); other programs write the same layout with y up. The poses tell which.
`gender`, `betas` and `dmpls` need the body model and are not read; some archives keep Python objects next to the
motion, which are never unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from motionlab.files.arrays import ArrayHeader
from motionlab.motion.formats.numpy_motion import FPS_KEYS, file_fps, headers, load, need_fps, numbers, wrong
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.smpl_pose import BODY, BODY_NOTE, find_up, smpl_motion
from motionlab.motion.formats.source import Reading, ReadOptions

# Numbers a frame. The first 66 of `poses` are the same joints in all widths; `body_pose` has 69 with SMPL's hands.
WIDTHS = {
    "poses": (66, 72, 156, 165),
    "root_orient": (3,),
    "pose_body": (BODY - 3,),
    "global_orient": (3,),
    "body_pose": (BODY - 3, BODY + 3),
    "trans": (3,),
    "transl": (3,),
}
_POSES = (("poses",), ("root_orient", "pose_body"), ("global_orient", "body_pose"))
_TRAVEL = ("trans", "transl")


def _arrays(found: Mapping[str, ArrayHeader]) -> tuple[str, ...] | None:
    """Names of the arrays of the pose and of the travel, the last; None where they are not there."""
    pose = next((names for names in _POSES if set(names) <= set(found)), None)
    travel = next((name for name in _TRAVEL if name in found), None)
    return None if pose is None or travel is None else (*pose, travel)


def _recognises(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and _arrays(headers(path)) is not None


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    found = headers(path)
    names = _arrays(found)
    assert names is not None
    for name in names:
        kind, shape = found[name].kind, found[name].shape
        width = 1
        for size in shape[1:]:  # [T, 21, 3] is [T, 63]
            width *= size
        if kind not in "fiu" or len(shape) not in (2, 3) or width not in WIDTHS[name]:
            choices = " or ".join(f"[T, {size}]" for size in WIDTHS[name])
            raise wrong(path, f"{name} of shape {shape}", f"{choices} numbers")
    arrays = load(path, (*names, *FPS_KEYS))
    fps = need_fps(path, file_fps(path, arrays, options), "most of AMASS has 120")
    *pose, travel = [numbers(path, name, arrays[name]).flatten(1) for name in names]
    if len({len(part) for part in (*pose, travel)}) > 1:
        counts = ", ".join(f"{len(part):,} {name}" for part, name in zip((*pose, travel), names, strict=True))
        raise wrong(path, counts, "one of each a frame")
    body = torch.cat(pose, dim=-1)[:, :BODY]  # [T, 66]
    usual = None if "global_orient" in names else "z"
    up, notes = find_up(path, body, travel, fps, usual=usual, given=options.up)
    yield Reading(smpl_motion(body, travel, fps, path.stem, z_up=up == "z"), notes=(BODY_NOTE, *notes))


FORMAT = Format(
    name="AMASS (SMPL, SMPL-H, SMPL-X)",
    suffixes=(".npz",),
    carries="rotations of our 22 joints, travel, frame rate",
    loses="the shape of the body, hands and face; places of joints differ by 5 cm from the body model's",
    recognises=_recognises,
    read=_read,
)
