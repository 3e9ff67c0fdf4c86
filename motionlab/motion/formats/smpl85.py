"""Read tables of SMPL parameters: `[T, 85]` of the MotionMillion scripts and `[T, 322]` of Motion-X.

| columns of 85 | content                          | columns of 322 | content                                    |
|---------------|----------------------------------|----------------|--------------------------------------------|
| 0:66          | axis-angle, our 22 joints        | 0:66           | axis-angle, our 22 joints                   |
| 66:72         | two hand joints, zero            | 66:309         | hands, jaw, expression, shape of the face   |
| 72:75         | translation, m                   | 309:312        | translation, m                              |
| 75:85         | shape of the body                | 312:322        | shape of the body                           |

The 85 have y up. The 322 come with either axis up; the poses of the file decide, and the note says so. Neither file
says its frame rate: the data sets made of them have 30.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from motionlab.motion.formats.numpy_motion import SUFFIXES, headers, is_table, load, numbers
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.smpl_pose import BODY, BODY_NOTE, find_up, smpl_motion
from motionlab.motion.formats.source import Reading, ReadOptions

TRAVEL = {85: slice(72, 75), 322: slice(309, 312)}
FPS = 30.0
FPS_NOTE = "The file does not say its frame rate; 30 frames a second were taken, as in the data sets of such files."


def _recognises(path: Path) -> bool:
    return any(is_table(path, width) for width in TRAVEL)


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    width = headers(path)[""].shape[1]
    values = numbers(path, "", load(path, ("",))[""])  # [T, 85] or [T, 322]
    notes = [BODY_NOTE]
    up = "y"
    if width == 322 or options.up is not None:
        fps = options.fps or FPS
        up, said = find_up(path, values[:, :BODY], values[:, TRAVEL[width]], fps, given=options.up)
        notes += said
    if options.fps is None:
        notes.append(FPS_NOTE)
    motion = smpl_motion(values[:, :BODY], values[:, TRAVEL[width]], options.fps or FPS, path.stem, z_up=up == "z")
    yield Reading(motion, notes=tuple(notes))


FORMAT = Format(
    name="smpl_85, smplx_322",
    suffixes=SUFFIXES[:1],
    carries="rotations of our 22 joints and travel",
    loses="the shape of the body, hands and face, the frame rate",
    recognises=_recognises,
    read=_read,
)
