"""The layout of a LeRobotDataset of version 3, and the part of it that is read here.

    meta/info.json                            version, frames a second, features: name -> dtype and shape
    meta/stats.json                           least, most, mean and deviation of every feature
    meta/tasks.parquet                        a row for each sentence, in the order of task_index
    meta/episodes/chunk-000/file-000.parquet  a row for each episode: which file holds its frames, and where
    data/chunk-000/file-000.parquet           a row for each frame of many episodes; pictures as PNG, or
    videos/<key>/chunk-000/file-000.mp4       the pictures of many episodes, one after the other

Facts from the package lerobot 0.4.4 (Apache 2.0), whose reader opens what `write.py` writes. It takes the sentence of a
frame from row number `task_index` of tasks.parquet, whatever the column `task_index` of that row says.

The layout has no depth, no cameras, no state of a simulator and one kind of action: those are lost on the way out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from motionlab.errors import InputError, optional_module
from motionlab.vla.observation import VIEWS

VERSION = "v3.0"
INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
EPISODES = "meta/episodes"
ONE_FILE = "chunk-000/file-000"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
ACTION, STATE = "action", "observation.state"
PICTURES = "observation.images."
# Names that published data sets give to the two cameras, without PICTURES; the first is the one that is written.
CAMERAS = {
    "agentview": ("image", "agentview", "agentview_rgb", "workspace", "front", "top"),
    "eye_in_hand": ("image2", "wrist_image", "eye_in_hand", "eye_in_hand_rgb", "wrist", "gripper"),
}
assert set(CAMERAS) == set(VIEWS)
EXPECTED = f"a LeRobotDataset of version {VERSION}"
FIX = "Give the folder that holds meta/info.json."


class Feature(msgspec.Struct):
    """A column: its kind ("float32", "image", "video" ...) and the shape of a value."""

    dtype: str
    shape: list[int]


class Info(msgspec.Struct):
    """The fields of meta/info.json that are read."""

    codebase_version: str
    fps: float
    features: dict[str, Feature]
    data_path: str = DATA_PATH
    video_path: str | None = None


def parquet() -> Any:
    """`pyarrow.parquet`.

    Raises:
        MissingExtra: it is not installed.
    """
    return optional_module("pyarrow.parquet", extra="lerobot", purpose="read and write LeRobot data sets")


def camera_keys(info: Info, where: object) -> dict[str, str]:
    """View -> feature with its pictures.

    Raises:
        InputError: neither camera is there under a known name.
    """
    found: dict[str, str] = {}
    for view, names in CAMERAS.items():
        keys = [PICTURES + name for name in names]
        key = next((key for key in keys if key in info.features and info.features[key].dtype in ("image", "video")), "")
        if key:
            found[view] = key
    if not found:
        there = ", ".join(key for key in info.features if key.startswith(PICTURES)) or "no pictures"
        known = ", ".join(PICTURES + names[0] for names in CAMERAS.values())
        raise InputError(where, found=there, expected=known, fix="Rename the cameras.")
    return found
