"""The tensors of a safetensors file as a memory map: opening reads the header, and a row is read when it is used.

The pages of a map belong to the system's cache of files. All processes that open a file share them, and the system
takes them back when it needs the memory.
"""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError
from motionlab.files.reading import refusing, what_is_there
from motionlab.files.records import parse_json, typed

LONGEST_HEADER = 1 << 20  # bytes
_EXPECTED = "a whole safetensors file"
_DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8,
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """How the header describes a tensor; the offsets count from the end of the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def map_tensors(path: str | Path, fix: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read-only arrays by name, and the description that `write_tensors` put into the file.

    Only the header is read, and compared with the length of the file. The numbers may be anything: whoever uses them
    checks them.

    Args:
        fix: what to do about a file that is damaged.

    Raises:
        InputError: no such file, or no whole safetensors file.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would be waited for
        raise InputError(path, found=what_is_there(path), expected=_EXPECTED, fix=fix)
    with refusing(path, expected=_EXPECTED, fix=fix):
        with open(path, "rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length = int.from_bytes(whole[:8], "little")
        begin = 8 + length
        if len(whole) < 8 or length > LONGEST_HEADER or begin > len(whole):
            raise ValueError(f"a file of {len(whole):,} bytes with a header of {length:,}")
        header = parse_json(whole[8:begin].decode("utf-8"), path, expected=_EXPECTED, fix=fix)
        if not isinstance(header, dict):
            raise ValueError("a header that is no group of keys")
        notes = header.pop("__metadata__", {})
        parts = typed(header, dict[str, Part], path, expected=_EXPECTED, fix=fix)
        if sum(part.data_offsets[1] - part.data_offsets[0] for part in parts.values()) != len(whole) - begin:
            raise ValueError(f"{len(whole) - begin:,} bytes of numbers, which are not those of the header")
        arrays = {name: _array(whole, begin, name, part) for name, part in parts.items()}
        description = json.loads(notes.get("motionlab", "{}"))
        if not isinstance(description, dict):
            raise ValueError("a description that is no group of keys")
    return arrays, description


def _array(whole: mmap.mmap, begin: int, name: str, part: Part) -> np.ndarray:
    kind = np.dtype(_DTYPES[part.dtype])
    start, stop = part.data_offsets
    count = math.prod(part.shape)
    fits = all(side >= 0 for side in part.shape) and stop - start == count * kind.itemsize
    if not fits or not 0 <= start <= stop <= len(whole) - begin:
        raise ValueError(f"a tensor {name} of shape {part.shape} at {start} to {stop}")
    return np.frombuffer(whole, kind, count, begin + start).reshape(part.shape)
