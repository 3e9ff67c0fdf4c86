"""The files of a packed store: how they are written, and how the small ones are read and checked.

A folder holds
    features.f16   all frames of all clips, one after the other, 272 float16 values per row, little endian
    clips.jsonl    one line per clip: name, captions, segments, source
    clips.i64      [N, 2] int64, little endian: frames of each clip, and bytes of its line in clips.jsonl
    index.json     format, fps, how many clips and frames, whether all have segments, digests of all files

float16 keeps 11 bits: half a millimetre at one metre. Over the longest sample (38 s) the integrated path is off by less
than a millimetre.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.data.clip import Clip, Segment
from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.reading import read_bytes, read_text, refusing
from motionlab.files.records import parse_record, typed
from motionlab.motion.features import DIM, check_features
from motionlab.motion.frame_rate import same_rate

FORMAT = 2
FEATURES_FILE, TEXT_FILE, TABLE_FILE, INDEX_FILE = "features.f16", "clips.jsonl", "clips.i64", "index.json"
ROW_BYTES = DIM * 2
DTYPE, TABLE_DTYPE = np.dtype("<f2"), np.dtype("<i8")
FIX = "Build it again; a cached corpus is rebuilt when its folder is deleted."


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
            data = half.numpy().astype(DTYPE, copy=False).tobytes()
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
    rows = np.array(table, dtype=TABLE_DTYPE).reshape(-1, 2)
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


def read_index(path: Path) -> Index:
    """`index.json`; an InputError when it was changed or is of another format."""
    text = read_text(path, expected="the index of a store", fix=FIX)
    facts = parse_record(text, dict[str, Any], path, expected="the index of a store", fix=FIX)
    if facts.get("format") != FORMAT:
        raise InputError(path, found="another format", expected=f"a store of format {FORMAT}", fix=FIX)
    index = typed(facts, Index, path, expected="the index of a store", fix=FIX)
    if _digest(facts) != index.sha256:
        raise InputError(path, found="changed content", expected="the digest of all", fix=FIX)
    return index


def read_table(path: Path, index: Index) -> np.ndarray:
    """`[N, 2]`: frames and bytes of each clip; an InputError when they are not what the index says."""
    content = read_bytes(path, expected="the table of a store", fix=FIX)
    with refusing(path, expected="the table of a store", fix=FIX):
        table = np.frombuffer(content, dtype=TABLE_DTYPE)
    if len(table) != 2 * index.clips or table[::2].sum() != index.frames or (table < 1).any():
        found = f"{len(table) // 2} clips with {table[::2].sum()} frames"
        raise InputError(path, found=found, expected=f"{index.clips} with {index.frames}", fix=FIX)
    return table.reshape(-1, 2)


def verify_files(folder: Path, index: Index) -> None:
    """Compare the content of every file with its digest."""
    for name, digest in index.files.items():
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise InputError(folder / name, found=error, expected="a file of the store", fix=FIX) from error
        if found != digest:
            raise InputError(folder / name, found="changed content", expected=f"sha256 {digest[:12]}...", fix=FIX)


def _digest(index: dict[str, Any]) -> str:
    facts = {key: value for key, value in index.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
