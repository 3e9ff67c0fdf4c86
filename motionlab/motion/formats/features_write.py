"""Write the 272 features as the array that MotionMillion has them in."""

from __future__ import annotations

from pathlib import Path

from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    motion.save(path)


WRITER = Writer(
    name="MotionMillion 272",
    key="272",
    suffixes=(".npy",),
    loses="the frame rate",
    write=_write,
)
