"""Many clips in a few files: packed float16 rows, read through a memory map, and what is known about each clip.

A folder holds
    features.f16   all frames of all clips, one after the other, 272 float16 values per row, little endian
    clips.jsonl    one line per clip: name, captions, segments, source
    clips.i64      [N, 2] int64, little endian: frames of each clip, and bytes of its line in clips.jsonl
    index.json     format, fps, how many clips and frames, whether all have segments, digests of all files
Opening reads the two small files. Captions are read on demand, features when a batch is cut, and nothing
is hashed unless `verify` asks for it; so a store may be larger than the memory, and a batch of windows is one gather.

float16 keeps 11 bits: half a millimetre at one metre. Over the longest sample (38 s) the integrated path is off by less
than a millimetre.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.data.building import building
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.reading import read_bytes, read_text, refusing
from motionlab.files.records import parse_record, typed
from motionlab.motion.features import DIM, check_features, reset_first_row
from motionlab.motion.frame_rate import same_rate
from motionlab.motion.motion import Motion

FORMAT = 2
FEATURES_FILE, TEXT_FILE, TABLE_FILE, INDEX_FILE = "features.f16", "clips.jsonl", "clips.i64", "index.json"
_ROW_BYTES = DIM * 2
_DTYPE, _TABLE_DTYPE = np.dtype("<f2"), np.dtype("<i8")
_FIX = "Build it again; a cached corpus is rebuilt when its folder is deleted."


@dataclass(frozen=True)
class Segment:
    """Which action fills frames `start` to `stop` (excluded) of a clip, and how it was made.

    Args:
        action: class label, after mirroring (`"turn_left"`).
        phrase: the words used in the caption (`"turns left"`).
        start, stop: frames of the finished clip.
        mirrored: whether the sample was mirrored.
        speed: playback speed of the sample.
        sample: name of the sample.
    """

    action: str
    phrase: str
    start: int
    stop: int
    mirrored: bool = False
    speed: float = 1.0
    sample: str = ""


@dataclass(frozen=True)
class Index:
    """The content of `index.json`."""

    format: int
    fps: float
    clips: int
    frames: int
    segments: bool  # whether every clip has some
    files: dict[str, str]  # sha256 of each file
    sha256: str  # of all of the above


@dataclass(frozen=True)
class Entry:
    """One line of `clips.jsonl`."""

    name: str
    captions: list[str]
    segments: list[Segment]
    source: str | None


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion with its captions and, if known, its segments and the recording or data set that it comes from."""

    name: str
    motion: Motion
    captions: list[str]
    segments: list[Segment] = field(default_factory=list)
    source: str | None = None


class MotionStore(Sequence[Clip]):
    """Read access to a packed folder. Make one with `MotionStore.write`, open it with `MotionStore.open`.

    A store that is pickled, for another process, carries the name of its folder only.

    Args:
        folder: where the four files are.
        rows: `[frames of all clips, 272]` float16, usually a memory map.
        table: `[N, 2]` int64: frames of each clip, bytes of its line.
        index: what `index.json` says.
    """

    def __init__(self, folder: Path, rows: np.ndarray, table: np.ndarray, index: Index) -> None:
        self.folder, self.fps = folder, index.fps
        self.digest = index.sha256  # of features, captions and segments; two equal stores have the same
        self.has_segments = index.segments  # whether every clip says which action fills which frames
        self._rows = rows
        self.lengths: np.ndarray = table[:, 0]
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
        rows = self._rows[self._offsets[position] : self._offsets[position + 1]]
        return torch.from_numpy(rows.astype(np.float32))

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
            raise InputError(path, found=error, expected=f"{expected} bytes", fix=_FIX) from error
        if len(text) != expected:
            raise InputError(path, found=f"{len(text)} bytes", expected=f"{expected}", fix=_FIX)
        return text

    def _entry(self, position: int) -> Entry:
        """The entry of one clip in `clips.jsonl`."""
        line = self._text[self._lines[position] : self._lines[position + 1]].tobytes()
        where = f"{self.folder / TEXT_FILE}, line {position + 1}"
        with refusing(where, expected="the entry of a clip", fix=_FIX):
            return parse_record(line.decode(), Entry, where, expected="the entry of a clip", fix=_FIX)

    def _check(self, index: int) -> int:
        """Negative numbers count from the end, as in a list."""
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"clip {index} of a store with {len(self)} clips")
        return position

    def windows(self, indices: Sequence[int] | np.ndarray, starts: Sequence[int] | np.ndarray, length: int) -> Tensor:
        """Cut one window from each of `B` clips, in one gather. Equals `features.crop` of each.

        Args:
            indices: `[B]` clip numbers.
            starts: `[B]` first frames.
            length: frames of a window.

        Returns:
            `[B, length, 272]` float32, row 0 reset as in `crop`.
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
        rows = (self._offsets[chosen] + first)[:, None] + np.arange(length)  # [B, length]
        return reset_first_row(torch.from_numpy(self._rows[rows].astype(np.float32)))

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
        index = _read_index(folder / INDEX_FILE)
        table = _read_table(folder / TABLE_FILE, index)
        frames = index.frames
        with refusing(features_path, expected="the features of a store", fix=_FIX):
            size = features_path.stat().st_size
        if size != frames * _ROW_BYTES:
            expected = f"{frames * _ROW_BYTES} ({frames} frames)"
            raise InputError(features_path, found=f"{size} bytes", expected=expected, fix=_FIX)
        if verify:
            _verify(folder, index)
        if frames:
            rows: np.ndarray = np.memmap(features_path, dtype=_DTYPE, mode="r", shape=(frames, DIM))
        else:  # an empty file cannot be mapped
            rows = np.empty((0, DIM), dtype=_DTYPE)
        return cls(folder, rows, table, index)

    @classmethod
    def write(cls, folder: str | Path, clips: Iterable[Clip], fps: float = 30.0) -> MotionStore:
        """Pack clips into `folder` and open it.

        The folder appears complete or not at all: it is written under another name next to its place and renamed. A
        existing folder is replaced.

        Args:
            clips: read once, one at a time, so a generator is fine; every motion in physical units at `fps`.
        """
        folder = Path(folder)
        with building(folder) as temporary:
            pack(temporary, clips, fps)
        return cls.open(folder)


def pack(folder: Path, clips: Iterable[Clip], fps: float = 30.0) -> None:
    """Write the files of a store into an existing folder (not atomic on its own; see `building`)."""
    table: list[tuple[int, int]] = []
    hashes, labelled = {name: hashlib.sha256() for name in (FEATURES_FILE, TEXT_FILE)}, True
    with open(folder / FEATURES_FILE, "wb") as features, open(folder / TEXT_FILE, "wb") as text:
        for clip in clips:
            motion = clip.motion
            where = clip.name or f"clip {len(table)}"
            if motion.normalized or not same_rate(motion.fps, fps):
                raise InputError(
                    where,
                    found="normalized features" if motion.normalized else f"{motion.fps:.9g} fps",
                    expected=f"physical units at {fps:.9g} fps",
                    fix="Denormalize or resample the motion first.",
                )
            half = motion.features.detach().cpu().half()
            check_features(half, where)  # a value above 65,504 becomes infinite in float16
            data = half.numpy().astype(_DTYPE, copy=False).tobytes()
            entry = {
                "name": clip.name,
                "captions": list(clip.captions),
                "segments": [asdict(segment) for segment in clip.segments],
                "source": clip.source,
            }
            line = (json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
            for file, name, content in ((features, FEATURES_FILE, data), (text, TEXT_FILE, line)):
                file.write(content)
                hashes[name].update(content)
            table.append((len(motion), len(line)))
            labelled = labelled and bool(clip.segments)
        for file in (features, text):
            file.flush()
            os.fsync(file.fileno())
    rows = np.array(table, dtype=_TABLE_DTYPE).reshape(-1, 2)
    rows.tofile(folder / TABLE_FILE)
    index: dict[str, Any] = {
        "format": FORMAT,
        "fps": fps,
        "clips": len(table),
        "frames": int(rows[:, 0].sum()),
        "segments": labelled and bool(table),
    }
    index["files"] = {name: found.hexdigest() for name, found in hashes.items()}
    index["files"][TABLE_FILE] = sha256(folder / TABLE_FILE)
    index["sha256"] = _digest(index)
    with open(folder / INDEX_FILE, "w", encoding="utf-8") as written:
        json.dump(index, written, indent=1)
        written.flush()
        os.fsync(written.fileno())


def _read_index(path: Path) -> Index:
    text = read_text(path, expected="the index of a store", fix=_FIX)
    facts = parse_record(text, dict[str, Any], path, expected="the index of a store", fix=_FIX)
    if facts.get("format") != FORMAT:
        raise InputError(path, found="another format", expected=f"a store of format {FORMAT}", fix=_FIX)
    index = typed(facts, Index, path, expected="the index of a store", fix=_FIX)
    if _digest(facts) != index.sha256:
        raise InputError(path, found="changed content", expected="the digest of all", fix=_FIX)
    return index


def _read_table(path: Path, index: Index) -> np.ndarray:
    """`[N, 2]`: frames and bytes of each clip."""
    content = read_bytes(path, expected="the table of a store", fix=_FIX)
    with refusing(path, expected="the table of a store", fix=_FIX):
        table = np.frombuffer(content, dtype=_TABLE_DTYPE)
    if len(table) != 2 * index.clips or table[::2].sum() != index.frames:
        found = f"{len(table) // 2} clips with {table[::2].sum()} frames"
        raise InputError(path, found=found, expected=f"{index.clips} with {index.frames}", fix=_FIX)
    if hashlib.sha256(content).hexdigest() != index.files.get(TABLE_FILE):
        raise InputError(path, found="changed content", expected="the table as it was written", fix=_FIX)
    return table.reshape(-1, 2)


def _verify(folder: Path, index: Index) -> None:
    """Compare the content of every file with its digest."""
    for name, digest in index.files.items():
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise InputError(folder / name, found=error, expected="a file of the store", fix=_FIX) from error
        if found != digest:
            raise InputError(folder / name, found="changed content", expected=f"sha256 {digest[:12]}...", fix=_FIX)


def _digest(index: dict[str, Any]) -> str:
    facts = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
