"""Demonstrations into a LeRobotDataset of version 3, whole or not at all; pictures as PNG, without loss."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from motionlab.data.building import building
from motionlab.errors import InputError
from motionlab.vla.lerobot.layout import (
    ACTION,
    CAMERAS,
    DATA_PATH,
    EPISODES,
    INFO,
    ONE_FILE,
    PICTURES,
    STATE,
    STATS,
    TASKS,
    VERSION,
    parquet,
)
from motionlab.vla.libero.layout import Episode
from motionlab.vla.observation import VIEWS

_ACTION_NAMES = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]
_STATE_NAMES = ["x", "y", "z", "rx", "ry", "rz", "finger_left", "finger_right"]
_INDEX = {
    "timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64", "task_index": "int64"
}  # fmt: skip


def write_lerobot(folder: str | Path, episodes: Iterable[Episode], *, fps: int = 20, robot: str = "panda") -> None:
    """Write a data set of one data file. Episodes are taken one at a time.

    Written are pictures (upright), actions, state and sentence. Depth, cameras, executed actions and states of the
    simulator have no place there.

    Args:
        folder: a new folder, or an empty one.
        fps: control steps a second; 20 in LIBERO.
        robot: what info.json says about it.

    Raises:
        InputError: no episode, episodes of different pictures, one without a state; or a folder with content.
        MissingExtra: pyarrow is not installed.
    """
    parquet()
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(folder, found="content", expected="a new folder", fix="Choose another one.")
    with building(folder) as temporary:
        _write(temporary, episodes, fps, robot, folder)


def _write(root: Path, episodes: Iterable[Episode], fps: int, robot: str, folder: Path) -> None:
    import pyarrow as pa

    pq = parquet()
    sizes: dict[str, tuple[int, ...]] = {}
    sentences: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    statistics = _Statistics()
    writer, total = None, 0
    (root / "data" / ONE_FILE).parent.mkdir(parents=True)
    try:
        for number, episode in enumerate(episodes):
            state = _state(episode, f"{folder}: episode {number}")
            found = {view: stack.shape[1:] for view, stack in episode.images.items()}
            sizes = sizes or found
            if found != sizes or not found:
                fix = "Write one data set for each size."
                raise InputError(f"{folder}: episode {number}", found=found, expected=sizes or "pictures", fix=fix)
            task = sentences.setdefault(episode.instruction, len(sentences))
            length = len(episode.actions)
            index = np.arange(length)
            columns: dict[str, np.ndarray] = {
                ACTION: episode.actions, STATE: state, "timestamp": (index / fps).astype(np.float32),
                "frame_index": index, "episode_index": np.full(length, number), "index": total + index,
                "task_index": np.full(length, task),
            }  # fmt: skip
            statistics.add(columns, episode.images)
            table = _table(pa, columns, episode.images)
            writer = writer or pq.ParquetWriter(root / "data" / f"{ONE_FILE}.parquet", table.schema)
            writer.write_table(table)  # an episode is a row group
            rows.append(
                {
                    "episode_index": number, "tasks": [episode.instruction], "length": length,
                    "data/chunk_index": 0, "data/file_index": 0,
                    "dataset_from_index": total, "dataset_to_index": total + length,
                    "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
                }
            )  # fmt: skip
            total += length
    finally:
        if writer is not None:
            writer.close()
    if not rows:
        raise InputError(folder, found="no episode", expected="one at least", fix="Give demonstrations.")
    (root / EPISODES / ONE_FILE).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), root / EPISODES / f"{ONE_FILE}.parquet")
    _write_tasks(pa, pq, root / TASKS, list(sentences))
    _write_json(root / STATS, statistics.numbers())
    _write_json(root / INFO, _info(rows, sizes, len(sentences), fps, robot))


def _info(rows: list[dict[str, Any]], sizes: dict[str, tuple[int, ...]], tasks: int, fps: int, robot: str) -> Any:
    features: dict[str, Any] = {
        PICTURES + CAMERAS[view][0]: {"dtype": "image", "shape": list(size), "names": ["height", "width", "channels"]}
        for view, size in sizes.items()
    }
    features[STATE] = {"dtype": "float32", "shape": [len(_STATE_NAMES)], "names": _STATE_NAMES}
    features[ACTION] = {"dtype": "float32", "shape": [len(_ACTION_NAMES)], "names": _ACTION_NAMES}
    features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _INDEX.items()}
    return {
        "codebase_version": VERSION, "robot_type": robot, "total_episodes": len(rows),
        "total_frames": rows[-1]["dataset_to_index"], "total_tasks": tasks, "chunks_size": 1000,
        "data_files_size_in_mb": 100, "video_files_size_in_mb": 200, "fps": fps, "splits": {"train": f"0:{len(rows)}"},
        "data_path": DATA_PATH, "video_path": None, "features": features,
    }  # fmt: skip


def _table(pa: Any, columns: dict[str, np.ndarray], images: dict[str, np.ndarray]) -> Any:
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields: dict[str, Any] = {
        PICTURES + CAMERAS[view][0]: pa.array([{"bytes": _png(one), "path": None} for one in images[view]], picture)
        for view in VIEWS
        if view in images
    }
    for name, values in columns.items():
        if values.ndim == 2:
            flat = pa.array(values.astype(np.float32).ravel())
            fields[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            fields[name] = pa.array(values.astype(_INDEX[name]))
    return pa.table(fields)


def _write_tasks(pa: Any, pq: Any, path: Path, sentences: list[str]) -> None:
    """The sentence is the index of a data frame of pandas, whose reader finds it by the key `pandas` of the schema."""
    table = pa.table({"task_index": pa.array(range(len(sentences)), pa.int64()), "task": sentences})
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"}
    text = {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"}
    about = {
        "index_columns": ["task"], "column_indexes": [], "pandas_version": "2.2.0",
        "columns": [number | {"metadata": None}, text | {"metadata": None}],
    }  # fmt: skip
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), path)


class _Statistics:
    """Least, most, mean, deviation and count of every feature; pictures in [0, 1], per channel."""

    def __init__(self) -> None:
        self.sums: dict[str, list[np.ndarray]] = {}

    def add(self, columns: dict[str, np.ndarray], images: dict[str, np.ndarray]) -> None:
        """Take one episode."""
        values = {name: column.reshape(len(column), -1).astype(np.float64) for name, column in columns.items()}
        for view, stack in images.items():
            values[PICTURES + CAMERAS[view][0]] = stack.reshape(-1, 3) / 255.0
        for name, rows in values.items():
            new = [rows.min(0), rows.max(0), rows.sum(0), np.square(rows).sum(0), np.array([len(rows)])]
            old = self.sums.get(name)
            if old is not None:
                sums = [a + b for a, b in zip(old[2:], new[2:], strict=True)]
                new = [np.minimum(old[0], new[0]), np.maximum(old[1], new[1]), *sums]
            self.sums[name] = new

    def numbers(self) -> dict[str, dict[str, Any]]:
        """As meta/stats.json holds them; those of pictures have the shape [3, 1, 1]."""
        found = {}
        for name, (least, most, first, second, count) in self.sums.items():
            mean = first / count
            deviation = np.sqrt(np.maximum(second / count - mean**2, 0))
            shape = (3, 1, 1) if name.startswith(PICTURES) else (-1,)
            values = {"min": least, "max": most, "mean": mean, "std": deviation}
            found[name] = {key: value.reshape(shape).tolist() for key, value in values.items()} | {
                "count": count.tolist()
            }
        return found


def _state(episode: Episode, where: str) -> np.ndarray:
    parts = (episode.ee_pos, episode.ee_ori, episode.gripper)
    if any(part is None for part in parts):
        fix = "Give place, orientation and fingers of the hand."
        raise InputError(where, found="no state of the hand", expected="ee_pos, ee_ori and gripper", fix=fix)
    return np.concatenate([part for part in parts if part is not None], axis=1).astype(np.float32)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
