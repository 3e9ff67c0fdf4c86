"""Many clips in one file: packed float16 rows, read through a memory map, and an index that says what they are.

A folder holds `features.f16` (all frames of all clips, one after the other, 272 float16 values a row, little endian)
and `index.json`. Nothing is loaded until it is asked for, so a store may be larger than the memory, and a batch of
windows is one gather instead of many small files.

float16 keeps 11 bits: half a millimetre at one metre. Over the longest sample (38 s) the integrated path is off by less
than a millimetre.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files import cannot_write
from motionlab.motion.features import DIM, check_features, reset_first_row
from motionlab.motion.motion import Motion

FORMAT = 1
FEATURES_FILE, INDEX_FILE = "features.f16", "index.json"
_ROW_BYTES = DIM * 2
_DTYPE = np.dtype("<f2")


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


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion with its captions and, if known, its segments."""

    name: str
    motion: Motion
    captions: list[str]
    segments: list[Segment] = field(default_factory=list)


class MotionStore(Sequence[Clip]):
    """Read access to a packed folder. Make one with `MotionStore.write`, open it with `MotionStore.open`.

    Args:
        folder: for messages.
        rows: `[frames of all clips, 272]` float16, usually a memory map.
        entries: one dictionary a clip: name, frames, captions, segments.
        fps: frames a second.
    """

    def __init__(self, folder: Path, rows: np.ndarray, entries: list[dict[str, Any]], fps: float) -> None:
        self.folder, self.fps = folder, fps
        self._rows, self._entries = rows, entries
        self.lengths = np.array([entry["frames"] for entry in entries], dtype=np.int64)
        self._offsets = np.concatenate(([0], np.cumsum(self.lengths)))

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"MotionStore({len(self)} clips, {int(self.lengths.sum())} frames)"

    def __getitem__(self, index: Any) -> Any:
        """Clip number `index`; a slice gives a list."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = self._check(index)
        entry = self._entries[position]
        motion = Motion(self.features(position), fps=self.fps, name=entry["name"])
        return Clip(entry["name"], motion, self.captions(position), self.segments(position))

    def __iter__(self) -> Iterator[Clip]:
        return (self[position] for position in range(len(self)))

    def features(self, index: int) -> Tensor:
        """`[T, 272]` float32 of one clip."""
        position = self._check(index)
        rows = self._rows[self._offsets[position] : self._offsets[position + 1]]
        return torch.from_numpy(rows.astype(np.float32))

    def captions(self, index: int) -> list[str]:
        """The captions of one clip; its features are not read."""
        return list(self._entries[self._check(index)]["captions"])

    def segments(self, index: int) -> list[Segment]:
        """The segments of one clip; its features are not read."""
        return [Segment(**segment) for segment in self._entries[self._check(index)]["segments"]]

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
                self.folder, found=f"clip numbers {chosen}", expected=f"0 to {len(self) - 1}", fix="Choose others."
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
            verify: read everything once and compare the sha256. Without it only the size is compared.

        Raises:
            InputError: a file is missing, of the wrong size, of another format, or changed.
        """
        folder = Path(folder)
        index_path, features_path = folder / INDEX_FILE, folder / FEATURES_FILE
        fix = "Build it again; a cached corpus is rebuilt when its folder is deleted."
        try:
            index = json.loads(index_path.read_text(encoding="utf-8"))
            size = features_path.stat().st_size
        except (OSError, ValueError) as error:
            raise InputError(folder, found=error, expected=f"{INDEX_FILE} and {FEATURES_FILE}", fix=fix) from error
        if not isinstance(index, dict) or index.get("format") != FORMAT:
            raise InputError(index_path, found="another format", expected=f"a store of format {FORMAT}", fix=fix)
        try:
            digest, entries, fps = index["sha256"], index["clips"], float(index["fps"])
            frames = sum(entry["frames"] for entry in entries)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(index_path, found=f"missing or broken {error}", expected="a store", fix=fix) from error
        if size != frames * _ROW_BYTES:
            raise InputError(
                features_path, found=f"{size} bytes", expected=f"{frames * _ROW_BYTES} ({frames} frames)", fix=fix
            )
        if verify:
            stamp = hashlib.sha256(_entries_bytes(entries))
            with open(features_path, "rb") as file:
                while block := file.read(1 << 20):
                    stamp.update(block)
            if stamp.hexdigest() != digest:
                raise InputError(features_path, found="changed content", expected=f"sha256 {digest[:12]}...", fix=fix)
        if frames:
            rows: np.ndarray = np.memmap(features_path, dtype=_DTYPE, mode="r", shape=(frames, DIM))
        else:  # an empty file cannot be mapped
            rows = np.empty((0, DIM), dtype=_DTYPE)
        return cls(folder, rows, entries, fps)

    @classmethod
    def write(cls, folder: str | Path, clips: Iterable[Clip], fps: float = 30.0) -> MotionStore:
        """Pack clips into `folder` and open it.

        The folder appears complete or not at all: it is written under another name beside its place and renamed. A
        folder that is there already is replaced.

        Args:
            clips: read once, so a generator is fine; every motion in physical units at `fps`.
        """
        folder = Path(folder)
        with building(folder) as temporary:
            pack(temporary, clips, fps)
        return cls.open(folder)


def pack(folder: Path, clips: Iterable[Clip], fps: float = 30.0) -> None:
    """Write the two files of a store into an existing folder (not atomic by itself; see `building`)."""
    entries: list[dict[str, Any]] = []
    content = hashlib.sha256()
    with open(folder / FEATURES_FILE, "wb") as file:
        for clip in clips:
            motion = clip.motion
            where = clip.name or f"clip {len(entries)}"
            if motion.normalized or motion.fps != fps:
                raise InputError(
                    where,
                    found="normalized features" if motion.normalized else f"{motion.fps:g} fps",
                    expected=f"physical units at {fps:g} fps",
                    fix="Denormalize or resample the motion first.",
                )
            half = motion.features.detach().cpu().half()
            check_features(half, where)  # a value above 65,504 becomes infinite in float16
            data = half.numpy().astype(_DTYPE, copy=False).tobytes()
            file.write(data)
            entries.append(
                {
                    "name": clip.name,
                    "frames": len(motion),
                    "captions": list(clip.captions),
                    "segments": [asdict(segment) for segment in clip.segments],
                }
            )
        file.flush()
        os.fsync(file.fileno())
    content.update(_entries_bytes(entries))
    with open(folder / FEATURES_FILE, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    index = {"format": FORMAT, "fps": fps, "sha256": content.hexdigest(), "clips": entries}
    with open(folder / INDEX_FILE, "w", encoding="utf-8") as text:
        json.dump(index, text, ensure_ascii=False, separators=(",", ":"))
        text.flush()
        os.fsync(text.fileno())


@contextlib.contextmanager
def building(folder: str | Path) -> Iterator[Path]:
    """Fill the temporary folder given; on success it becomes `folder` (replacing it), on failure it vanishes.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield temporary
        os.chmod(temporary, 0o755)  # mkdtemp makes private folders
        _replace_folder(temporary, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`. A folder with content cannot be renamed over, so an old one is moved away first."""
    if not folder.exists():
        os.rename(new, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    try:
        os.rename(folder, old / "store")
        try:
            os.rename(new, folder)
        except OSError:
            os.rename(old / "store", folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _entries_bytes(entries: list[dict[str, Any]]) -> bytes:
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
