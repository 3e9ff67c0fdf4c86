"""Read features of MotionMillion and HumanML3D-272, `[T, 272]` as `.npy`, and our own `.npz` of `Motion.save`.

An `.npy` says neither its frame rate (30 in both data sets) nor whether its numbers were normalised. The second shows
in the numbers: the cosine of the turn between two frames is nearly 1 in every motion, and bones keep their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from motionlab.motion import features as f
from motionlab.motion.formats.numpy_motion import LARGEST, SUFFIXES, has_numbers, headers, wrong
from motionlab.motion.formats.physical import has_bones
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion

FPS = 30.0
LEAST_COSINE = 0.5  # of the turn in a frame, in most frames; 60 degrees a frame are five turns a second
FPS_NOTE = "The file does not say its frame rate; 30 frames a second were taken, as in MotionMillion."


def _recognises(path: Path) -> bool:
    found = headers(path)
    return any(has_numbers(found.get(name), None, f.DIM) for name in ("", "features"))


def check_physical(path: object, motion: Motion) -> None:
    """Raise InputError when the numbers are not metres: normalised, or too large for any body."""
    normal = motion.normalized or float(motion.features[:, f.HEADING.start].median()) < LEAST_COSINE
    if not normal and float(motion.features.abs().max()) > LARGEST:
        raise wrong(path, f"the number {float(motion.features.abs().max()):.3g}", "features in metres")
    if normal or not has_bones(motion.joints()):
        raise wrong(
            path,
            "features that were normalised",
            "features in metres",
            "Undo it with the mean and std of the data set (Normalizer.load(...).denormalize), and save that.",
        )


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    motion = Motion.load(path, fps=options.fps or FPS)
    check_physical(path, motion)
    own = "" not in headers(path)
    if own and options.fps is not None:
        motion = replace(motion, fps=options.fps)
    yield Reading(motion, notes=() if own or options.fps is not None else (FPS_NOTE,))


FORMAT = Format(
    name="MotionMillion 272",
    suffixes=SUFFIXES,
    carries="all 272 features; an .npz of motionlab also the frame rate and the name",
    loses="nothing in an .npz; an .npy the frame rate",
    recognises=_recognises,
    read=_read,
)
