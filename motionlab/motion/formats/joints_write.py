"""Write places of joints: a table that a spreadsheet opens, or arrays with the tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from motionlab.files import atomic_path, write_text
from motionlab.motion.formats.registry import WriteOptions, Writer
from motionlab.motion.motion import Motion
from motionlab.motion.skeleton import JOINT_NAMES, PARENTS

HEADER = ("time", *(f"{joint}_{axis}" for joint in JOINT_NAMES for axis in "xyz"))


def write_joints_csv(path: str | Path, motion: Motion) -> None:
    """A line per frame: seconds, then x, y, z of each joint in metres (y up); the first line names the columns."""
    places = motion.joints().double().flatten(1).tolist()  # T x 66
    rows = [
        f"{frame / motion.fps:.9f}," + ",".join(f"{value:.6f}" for value in row) for frame, row in enumerate(places)
    ]
    write_text(path, "\n".join((",".join(HEADER), *rows)) + "\n")


def write_joints_npz(path: str | Path, motion: Motion) -> None:
    """Arrays `joints` `[T, 22, 3]` (metres, y up), `names`, `parents` (-1 for the pelvis) and `fps`."""
    joints = motion.joints().detach().float().cpu().numpy()
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary, joints=joints, names=np.array(JOINT_NAMES), parents=np.array(PARENTS), fps=motion.fps
        )


def _write(path: Path, motion: Motion, options: WriteOptions) -> None:
    (write_joints_csv if path.suffix.lower() == ".csv" else write_joints_npz)(path, motion)


WRITER = Writer(
    name="joints",
    key="joints",
    suffixes=(".csv", ".npz"),
    loses="rotations, so the twist of every bone",
    write=_write,
)
