"""Read motions out of the rows of a Parquet file, as data sets are published on the Hugging Face Hub.

A row is one clip: a column of features, columns of captions, and where there are such columns its name and frame rate.
Features are lists of rows (`list<list<float>>`, with either list of fixed size), or one flat list of `T * 272` numbers.
Rows are read a few at a time, so memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionlab.errors import InputError, optional_module
from motionlab.files.reading import refusing, what_is_there
from motionlab.motion.features import DIM
from motionlab.motion.formats.motion272 import FPS, FPS_NOTE, check_physical
from motionlab.motion.formats.numpy_motion import LARGEST, numbers, wrong
from motionlab.motion.formats.registry import Format, any_file
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion

FEATURES = ("motion", "features", "motion_272", "vector_272", "motion_features")
CAPTIONS = ("caption", "captions", "text", "texts", "description", "descriptions")
NAMES = ("name", "id", "motion_id", "clip", "file_name", "filename", "file", "path")
RATES = ("fps", "frame_rate")
ROWS_AT_ONCE = 16
MOST_FRAMES = 1_000_000  # of one clip: nine hours
_EXPECTED = f"a Parquet file with a column of motions, lists of {DIM} numbers"
_FIX = f"Name the column {FEATURES[0]!r}, and give each frame {DIM} numbers."


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    """A row that cannot be read does not keep others from being read: its error comes after the last row.

    Raises:
        InputError: no Parquet file, no column of motions, or (after all good rows) the first bad one and their number.
    """
    parquet = optional_module("pyarrow.parquet", extra="parquet", purpose="read Parquet files")
    if not path.is_file():
        raise wrong(path, what_is_there(path), _EXPECTED)
    with refusing(path, expected=_EXPECTED, fix=_FIX):
        file = parquet.ParquetFile(path, buffer_size=1 << 20)
        schema = file.schema_arrow
        columns = {name.lower(): name for name in schema.names}
    motion = next(
        (columns[name] for name in FEATURES if name in columns and _is_list(schema.field(columns[name]))), None
    )
    if motion is None:
        raise wrong(path, f"columns {', '.join(schema.names[:20])}", _EXPECTED, _FIX)
    wanted = {what: [columns[name] for name in names if name in columns] for what, names in _OTHERS.items()}
    bad: list[str] = []
    batches = file.iter_batches(
        batch_size=ROWS_AT_ONCE, columns=[motion, *(one for each in wanted.values() for one in each)]
    )
    row = 0
    while True:
        with refusing(path, expected=_EXPECTED, fix="Download the file again."):
            batch = next(batches, None)
        if batch is None:
            break
        for at in range(len(batch)):
            try:
                yield _reading(path, row, batch, at, motion, wanted, options)
            except InputError as error:
                bad.append(str(error))
            row += 1
    if bad:
        raise wrong(
            path, f"{len(bad)} of {row} rows that cannot be read; the first: {bad[0]}", _EXPECTED, "Remove these rows."
        )


_OTHERS = {"caption": CAPTIONS, "name": NAMES, "fps": RATES}


def _is_list(field: Any) -> bool:
    return str(field.type).startswith(("list", "large_list", "fixed_size_list"))


def _reading(
    path: Path, row: int, batch: Any, at: int, motion: str, wanted: dict[str, list[str]], options: ReadOptions
) -> Reading:
    where = f"{path}, row {row}"
    with refusing(where, expected=f"a list of frames of {DIM} numbers", fix=_FIX):
        values = _table(batch.column(motion)[at])
        others = {what: [batch.column(name)[at].as_py() for name in names] for what, names in wanted.items()}
    name = next((str(one) for one in others["name"] if isinstance(one, str | int)), f"{path.stem}_{row}")
    rate = next((one for one in others["fps"] if one is not None), None)
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate <= LARGEST):
        raise wrong(where, f"fps {str(rate)[:40]}", "a positive number")
    fps = options.fps if options.fps is not None else rate
    clip = Motion(numbers(Path(where), motion, values).to(torch.float32), fps=float(fps or FPS), name=name)
    check_physical(where, clip)
    texts: list[str] = []
    for one in others["caption"]:
        texts += [text for text in (one if isinstance(one, list) else [one]) if isinstance(text, str) and text.strip()]
    return Reading(clip, tuple(text.strip() for text in texts), () if fps is not None else (FPS_NOTE,))


def _table(cell: Any) -> np.ndarray:
    """`[T, 272]` from a cell, without a Python object a number."""
    values = cell.values  # the frames, or one flat list
    if values is None:
        raise ValueError("no motion")
    widths = {DIM}
    while _is_list(values):
        widths = set(values.value_lengths().unique().to_pylist()) if len(values) else {DIM}
        values = values.flatten()
    if widths != {DIM} or len(values) % DIM or values.null_count:
        raise ValueError(f"frames of {sorted(map(str, widths))[:5]} numbers, {len(values)} in all")
    if len(values) > DIM * MOST_FRAMES:
        raise ValueError(f"{len(values) // DIM:,} frames")
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, DIM)


FORMAT = Format(
    name="Parquet rows of 272 features",
    suffixes=(".parquet",),
    carries="all 272 features, captions, name and frame rate where there are columns of them",
    loses="nothing that has a column",
    recognises=any_file,
    read=_read,
    extra="parquet",
)
