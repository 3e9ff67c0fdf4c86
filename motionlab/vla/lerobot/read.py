"""Demonstrations out of a LeRobotDataset of version 3, one episode at a time."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from motionlab.errors import InputError
from motionlab.files.reading import refusing, what_is_there
from motionlab.files.records import read_record
from motionlab.vla.lerobot.layout import (
    ACTION,
    EPISODES,
    EXPECTED,
    FIX,
    INFO,
    STATE,
    TASKS,
    VERSION,
    Info,
    camera_keys,
    parquet,
)
from motionlab.vla.lerobot.video import frames_between
from motionlab.vla.libero.layout import Episode
from motionlab.vla.observation import ACTION_DIMS, STATE_DIMS

Stored = Literal["upright", "flipped", "rotated"]
TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda pictures: pictures,
    "flipped": lambda pictures: pictures[:, ::-1],
    "rotated": lambda pictures: pictures[:, ::-1, ::-1],
}
"""How pictures `[T, H, W, 3]` are stored -> what makes them upright. The layout has no place to say it, and data sets
made from LIBERO exist in all three ways."""
_NUMBERS = ("episode_index", "length", "data/chunk_index", "data/file_index")
MOST_FRAMES = 100_000  # of one episode
MOST_EDGE = 4096  # pixels


def is_lerobot(folder: str | Path) -> bool:
    """Whether a folder looks like a LeRobotDataset."""
    return (Path(folder) / INFO).is_file()


def episodes_of_tasks(folder: str | Path) -> dict[str, list[int]]:
    """Sentence -> numbers of its episodes, without reading a picture.

    Raises:
        InputError, MissingExtra: as `read_lerobot`.
    """
    folder, reader = Path(folder), parquet()
    info, sentences = _info(folder), _sentences(folder, reader)
    found: dict[str, list[int]] = {}
    for path in dict.fromkeys(_data_path(folder, info, row) for row in _episodes(folder, reader)):
        with refusing(path, expected=EXPECTED, fix=FIX):
            table = reader.read_table(path, columns=["episode_index", "task_index"])
            pairs = dict(zip(table["episode_index"].to_pylist(), table["task_index"].to_pylist(), strict=True))
        for number, task in sorted(pairs.items()):
            found.setdefault(_sentence(sentences, [task], f"{path}: episode {number}"), []).append(number)
    return found


def read_lerobot(
    folder: str | Path, pictures: Stored = "upright", only: Collection[int] | None = None
) -> Iterator[Episode]:
    """The episodes in their order; everything but their frames is checked before the first.

    The action has 7 numbers, the gripper -1 (open) or +1 (closed). `observation.state` gives place, orientation and
    fingers if it has 8 numbers, as in data sets made from LIBERO; any other state is left out.

    Args:
        pictures: how they are stored; see `TURNS`. Look at one before you believe it.
        only: numbers of the episodes that are wanted; None is all.

    Raises:
        InputError: another version, no known camera, an action of another size, numbers that are not finite, an
            episode without a sentence, frames that are not there.
        MissingExtra: pyarrow, or for videos av, is not installed.
    """
    if pictures not in TURNS:
        raise InputError("pictures", found=repr(pictures), expected=", ".join(TURNS), fix="Choose one of them.")
    folder = Path(folder)
    reader = parquet()
    info = _info(folder)
    cameras = camera_keys(info, folder / INFO)
    sentences = _sentences(folder, reader)
    rows = [row for row in _episodes(folder, reader) if only is None or row["episode_index"] in only]
    return _read(folder, info, cameras, sentences, rows, pictures)


def _read(
    folder: Path, info: Info, cameras: dict[str, str], sentences: list[str], rows: list[dict[str, Any]], turned: str
) -> Iterator[Episode]:
    reader, open_path, table = parquet(), None, None
    stored = {view: key for view, key in cameras.items() if info.features[key].dtype == "image"}
    columns = ["episode_index", "task_index", ACTION, *stored.values(), *([STATE] if _has_state(info) else [])]
    for row in rows:
        number = row["episode_index"]
        path = _data_path(folder, info, row)
        if path != open_path:  # many episodes share a file
            with refusing(path, expected=EXPECTED, fix=FIX):
                table, open_path = reader.read_table(path, columns=columns), path
        assert table is not None
        where = f"{path}: episode {number}"
        with refusing(where, expected=EXPECTED, fix=FIX):
            among = np.flatnonzero(table["episode_index"].to_numpy() == number)
            length = row["length"]
            if len(among) != length or not 0 < length <= MOST_FRAMES or among[-1] - among[0] + 1 != length:
                found = f"{len(among)} frames"
                raise InputError(where, found=found, expected=f"{length} frames in a row", fix="Fetch it again.")
            part = table.slice(int(among[0]), length)
            sentence = _sentence(sentences, part["task_index"].to_pylist(), where)
            seen = {view: _pngs(part[key].to_pylist()) for view, key in stored.items()}
        for view, key in cameras.items():
            if view not in seen:
                seen[view] = _video(folder, info, row, key, length)
        yield _episode(part, sentence, {view: TURNS[turned](stack) for view, stack in seen.items()}, where)


def _episode(part: Any, sentence: str, images: dict[str, np.ndarray], where: str) -> Episode:
    actions = _numbers(part, ACTION, ACTION_DIMS, where)
    gripper = actions[:, 6]
    if (gripper >= 0).all() and (gripper == 0).any():
        fix = "Map the gripper first: open is -1 and closed +1; data of RLDS has 1 for open and 0 for closed."
        raise InputError(f"{where}: {ACTION}", found="a gripper of 0 and 1", expected="-1 and +1", fix=fix)
    state = _numbers(part, STATE, STATE_DIMS, where) if STATE in part.column_names else None
    return Episode(
        instruction=sentence,
        actions=actions,
        images={view: np.ascontiguousarray(stack) for view, stack in images.items()},
        ee_pos=None if state is None else state[:, :3],
        ee_ori=None if state is None else state[:, 3:6],
        gripper=None if state is None else state[:, 6:],
    )


def _info(folder: Path) -> Info:
    info = read_record(folder / INFO, Info, expected=EXPECTED, fix=FIX)
    if info.codebase_version != VERSION:
        fix = "Convert it with the script of lerobot that makes version 3."
        raise InputError(folder / INFO, found=info.codebase_version, expected=VERSION, fix=fix)
    shape = info.features[ACTION].shape if ACTION in info.features else None
    if shape != [ACTION_DIMS]:
        fix = "Only arms with 3 translations, 3 rotations and a gripper are known here."
        raise InputError(f"{folder / INFO}: {ACTION}", found=shape, expected=f"[{ACTION_DIMS}]", fix=fix)
    if not 0 < info.fps <= 1000:
        raise InputError(f"{folder / INFO}: fps", found=info.fps, expected="above 0", fix="Fix the file.")
    return info


def _has_state(info: Info) -> bool:
    return STATE in info.features and info.features[STATE].shape == [STATE_DIMS]


def _sentences(folder: Path, reader: Any) -> list[str]:
    """The sentence of every task, by its row."""
    path = folder / TASKS
    with refusing(path, expected=EXPECTED, fix=FIX):
        if not path.is_file():
            raise InputError(path, found=what_is_there(path), expected=EXPECTED, fix=FIX)
        table = reader.read_table(path)
        text = next((name for name in table.column_names if name != "task_index"), None)
        sentences = [] if text is None else table[text].to_pylist()
    for number, sentence in enumerate(sentences):
        if not isinstance(sentence, str) or not sentence.strip():
            fix = "Give every task its sentence."
            raise InputError(f"{path}: row {number}", found=repr(sentence), expected="a sentence", fix=fix)
    if not sentences:
        raise InputError(path, found="no tasks", expected="a sentence for each task", fix="Fetch the data set again.")
    return [" ".join(sentence.split()) for sentence in sentences]


def _sentence(sentences: list[str], tasks: list[Any], where: str) -> str:
    """The one sentence of all frames of an episode."""
    numbers = set(tasks)
    number = next(iter(numbers))
    if len(numbers) != 1 or not isinstance(number, int) or not 0 <= number < len(sentences):
        expected = f"one number from 0 to {len(sentences) - 1}"
        raise InputError(
            f"{where}: task_index", found=sorted(map(str, numbers)), expected=expected, fix="Fix the file."
        )
    return sentences[number]


def _data_path(folder: Path, info: Info, row: dict[str, Any]) -> Path:
    """The file with the frames of an episode."""
    chunk, file = row["data/chunk_index"], row["data/file_index"]
    return folder / _formatted(info.data_path, folder, chunk_index=chunk, file_index=file)


def _episodes(folder: Path, reader: Any) -> list[dict[str, Any]]:
    """A row for each episode, without its statistics."""
    paths = sorted((folder / EPISODES).glob("*/*.parquet"))
    rows: list[dict[str, Any]] = []
    for path in paths:
        with refusing(path, expected=EXPECTED, fix=FIX):
            names = [name for name in reader.read_schema(path).names if not name.startswith("stats/")]
            rows += reader.read_table(path, columns=names).to_pylist()
            for row in rows:
                row |= {key: int(row[key]) for key in _NUMBERS}
    if not rows:
        raise InputError(folder / EPISODES, found="no episodes", expected=EXPECTED, fix="Fetch the data set again.")
    return sorted(rows, key=lambda row: int(row["episode_index"]))


def _formatted(pattern: str, folder: Path, **values: Any) -> Path:
    """A path from its pattern in info.json, which has to stay inside the folder."""
    with refusing(f"{folder / INFO}: {pattern[:80]!r}", expected="a pattern of a path", fix="Fix the file."):
        path = Path(pattern.format(**values))
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("a path that leaves the folder")
    return path


def _video(folder: Path, info: Info, row: dict[str, Any], key: str, length: int) -> np.ndarray:
    """The pictures of an episode out of a video that it shares with others."""
    where = f"{folder / EPISODES}: episode {row['episode_index']}"
    with refusing(where, expected=f"videos/{key}/chunk_index, file_index and from_timestamp", fix=FIX):
        chunk, file = int(row[f"videos/{key}/chunk_index"]), int(row[f"videos/{key}/file_index"])
        begin = float(row[f"videos/{key}/from_timestamp"])
    if info.video_path is None:
        raise InputError(f"{folder / INFO}: video_path", found="null", expected="a path", fix="Fix the file.")
    path = folder / _formatted(info.video_path, folder, video_key=key, chunk_index=chunk, file_index=file)
    return frames_between(path, begin, length, info.fps)


def _pngs(cells: list[Any]) -> np.ndarray:
    """`uint8 [T, H, W, 3]` of cells `{"bytes": PNG, "path": name}`."""
    pictures = []
    for cell in cells:
        with Image.open(io.BytesIO(cell["bytes"])) as image:
            if max(image.size) > MOST_EDGE:
                raise ValueError(f"a picture of {image.size[0]} x {image.size[1]} pixels")
            pictures.append(np.asarray(image.convert("RGB")))
    return np.stack(pictures)


def _numbers(part: Any, key: str, columns: int, where: str) -> np.ndarray:
    """A column of lists, float32 `[T, columns]`."""
    expected = f"{columns} finite numbers a frame"
    with refusing(f"{where}: {key}", expected=expected, fix="Leave this episode out."):
        values = np.asarray(part[key].to_pylist(), dtype=np.float32)
    if values.shape != (len(part), columns) or not np.isfinite(values).all():
        found = f"shape {values.shape}" if values.shape != (len(part), columns) else "NaN or infinity"
        raise InputError(f"{where}: {key}", found=found, expected=expected, fix="Leave this episode out.")
    return values
