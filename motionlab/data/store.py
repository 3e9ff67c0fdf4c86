"""Many clips in a few files: packed float16 rows, read through a memory map, and what is known about each clip.

Opening reads two small files (`store_files.py` says which), 16 bytes a clip. Captions are read on demand, features when
a batch is cut, and none of the clips' files is hashed unless `verify` asks for it; so a store may be larger than the
memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.data.building import building
from motionlab.data.clip import Clip, Segment
from motionlab.data.rows import MappedRows
from motionlab.data.store_files import (
    FEATURES_FILE,
    FIX,
    INDEX_FILE,
    ROW_BYTES,
    TABLE_FILE,
    TEXT_FILE,
    Entry,
    Index,
    pack,
    read_index,
    read_table,
    verify_files,
)
from motionlab.errors import InputError
from motionlab.files.reading import refusing
from motionlab.files.records import parse_record
from motionlab.motion.features import DIM, crop
from motionlab.motion.motion import Motion

__all__ = ["Clip", "MotionStore", "Segment", "pack"]


class MotionStore(Sequence[Clip]):
    """Read access to a packed folder. Make one with `MotionStore.write`, open it with `MotionStore.open`.

    A store that is pickled, for another process, carries the name of its folder only.

    Args:
        folder: where the four files are.
        rows: the frames of all clips; None when there are none.
        table: `[N, 2]` int64: frames of each clip, bytes of its line.
        index: what `index.json` says.
    """

    def __init__(self, folder: Path, rows: MappedRows | None, table: np.ndarray, index: Index) -> None:
        self.folder, self.fps = folder, index.fps
        self.digest = index.sha256  # of features, captions and segments; two equal stores have the same
        self.has_segments = index.segments  # whether every clip says which action fills which frames
        self._rows = rows
        self.lengths: np.ndarray = np.ascontiguousarray(table[:, 0])
        self._offsets = np.concatenate(([0], np.cumsum(self.lengths)))  # first row of each clip
        self._lines = np.concatenate(([0], np.cumsum(table[:, 1])))  # first byte of each line

    def __reduce__(self) -> tuple[Any, ...]:
        return MotionStore.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"MotionStore({len(self)} clips, {int(self.lengths.sum())} frames)"

    def __getitem__(self, index: Any) -> Any:
        """Clip number `index`; a slice gives a list."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = self._check(index)
        entry = self._entry(position)
        motion = Motion(self.features(position), fps=self.fps, name=entry.name)
        return Clip(entry.name, motion, entry.captions, entry.segments, entry.source)

    def __iter__(self) -> Iterator[Clip]:
        return (self[position] for position in range(len(self)))

    def features(self, index: int) -> Tensor:
        """`[T, 272]` float32 of one clip."""
        position = self._check(index)
        if self._rows is None:
            return torch.empty(0, DIM)
        return self._rows.read(int(self._offsets[position]), int(self._offsets[position + 1]))

    def name(self, index: int) -> str:
        """The name of one clip; its features are not read."""
        return self._entry(self._check(index)).name

    def captions(self, index: int) -> list[str]:
        """The captions of one clip; its features are not read."""
        return self._entry(self._check(index)).captions

    def segments(self, index: int) -> list[Segment]:
        """The segments of one clip; its features are not read."""
        return self._entry(self._check(index)).segments

    def source(self, index: int) -> str | None:
        """The recording or data set that a clip comes from, if that is known; its features are not read."""
        return self._entry(self._check(index)).source

    @cached_property
    def _text(self) -> np.ndarray:
        """The bytes of `clips.jsonl`, through a memory map opened when the first line is read."""
        path, expected = self.folder / TEXT_FILE, int(self._lines[-1])
        try:
            text = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise InputError(path, found=error, expected=f"{expected} bytes", fix=FIX) from error
        if len(text) != expected:
            raise InputError(path, found=f"{len(text)} bytes", expected=f"{expected}", fix=FIX)
        return text

    def _entry(self, position: int) -> Entry:
        """The entry of one clip in `clips.jsonl`."""
        line = self._text[self._lines[position] : self._lines[position + 1]].tobytes()
        where = f"{self.folder / TEXT_FILE}, line {position + 1}"
        with refusing(where, expected="the entry of a clip", fix=FIX):
            return parse_record(line.decode(), Entry, where, expected="the entry of a clip", fix=FIX)

    def _check(self, index: int) -> int:
        """Negative numbers count from the end, as in a list."""
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"clip {index} of a store with {len(self)} clips")
        return position

    def window(self, index: int, start: int, length: int) -> Tensor:
        """`[length, 272]` float32: a part of one clip, its row 0 reset as in `crop`; the plain way to say `windows`."""
        return crop(self.features(index), start, length)

    def windows(self, indices: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray, length: int) -> Tensor:
        """A `window` of each of `B` clips, the same bits; `rows.py` says why it is many times as fast.

        Args:
            indices: `[B]` clip numbers.
            starts: `[B]` first frames.
            length: frames of a window.

        Returns:
            `[B, length, 272]` float32, row 0 reset as in `crop`. The caller may change it; once nobody holds
            it, its memory serves a later batch.
        """
        chosen, first = np.asarray(indices, dtype=np.int64), np.asarray(starts, dtype=np.int64)
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise InputError(
                self.folder,
                found=f"clip numbers {chosen}",
                expected=f"0 to {len(self) - 1}" if len(self) else "none: the store is empty",
                fix="Choose others.",
            )
        bad = np.flatnonzero((first < 0) | (first + length > self.lengths[chosen]))
        if length < 1 or len(bad):
            worst = int(bad[0]) if len(bad) else 0
            raise InputError(
                f"{self.folder} clip {chosen[worst]}",
                found=f"a window of {length} frames from frame {first[worst]}",
                expected=f"one inside {self.lengths[chosen[worst]]} frames",
                fix="Use a shorter window or leave out clips that are shorter than it.",
            )
        if self._rows is None or not len(chosen):
            return torch.empty(0, length, DIM)
        return self._rows.windows((self._offsets[chosen] + first).tolist(), length)

    @classmethod
    def open(cls, folder: str | Path, verify: bool = False) -> MotionStore:
        """Open a packed folder.

        Args:
            verify: read everything once and compare the sha256. Without it only sizes are compared, and captions are
                not touched at all.

        Raises:
            InputError: a file is missing, of the wrong size, of another format, or changed.
        """
        folder = Path(folder)
        features_path = folder / FEATURES_FILE
        index = read_index(folder / INDEX_FILE)
        table = read_table(folder / TABLE_FILE, index)
        frames = index.frames
        with refusing(features_path, expected="the features of a store", fix=FIX):
            size = features_path.stat().st_size
        if size != frames * ROW_BYTES:
            expected = f"{frames * ROW_BYTES} ({frames} frames)"
            raise InputError(features_path, found=f"{size} bytes", expected=expected, fix=FIX)
        if verify:
            verify_files(folder, index)
        with refusing(features_path, expected="the features of a store", fix=FIX):
            rows = MappedRows(features_path, frames) if frames else None  # an empty file cannot be mapped
        return cls(folder, rows, table, index)

    @classmethod
    def write(cls, folder: str | Path, clips: Iterable[Clip], fps: float = 30.0) -> MotionStore:
        """Pack clips into `folder` and open it.

        The folder appears complete or not at all: it is written under another name next to its place and renamed.
        An existing folder is replaced.

        Args:
            clips: read once, one at a time, so a generator is fine; every motion in physical units at `fps`.
        """
        folder = Path(folder)
        with building(folder) as temporary:
            pack(temporary, clips, fps)
        return cls.open(folder)
