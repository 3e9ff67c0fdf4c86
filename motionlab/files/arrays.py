"""numpy's files, `.npy` and `.npz`, read so that no claim of theirs is believed before it is compared.

The header of an `.npy` says how many numbers follow, and `np.load` makes room for as many: a header of a hundred bytes
may ask for petabytes. Here the header is read alone and its claim is compared with the length of the file, or, in an
`.npz`, with that of the unpacked member. Numbers in another byte order are turned, and those wider than 8 bytes, which
differ from machine to machine, are refused. Pickled objects are never read.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from motionlab.errors import InputError
from motionlab.files.reading import read_bytes, refusing, what_is_there

LARGEST_FILE = 1 << 33  # bytes: 8 GiB
MOST_MEMBERS = 1000
_DEFLATE = 1032  # deflate never packs more than this many bytes into one
_LONGEST_HEADER = 1 << 14  # bytes; numpy itself refuses headers of more than 10,000
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class ArrayHeader(NamedTuple):
    """Claims of an array about itself: its shape, and the kind of its values as numpy's letter ("f", "O" ...)."""

    shape: tuple[int, ...]
    kind: str


def read_headers(path: str | Path, *, expected: str, fix: str) -> dict[str, ArrayHeader]:
    """The shape and kind of each array of an `.npz`, or of the one in an `.npy` under the name "", without the values.

    Objects and records are reported, too: their kinds are "O" and "V".

    Raises:
        InputError: no such file, or neither format.
    """
    path = Path(path)
    with refusing(path, expected=expected, fix=fix):
        if not path.is_file():
            raise InputError(path, found=what_is_there(path), expected=expected, fix=fix)
        with open(path, "rb") as file:
            if file.read(2) != b"PK":
                file.seek(0)
                return {"": _header(file)}
        with zipfile.ZipFile(path) as archive:
            result = {}
            for info in _members(archive):
                with archive.open(info) as member:
                    result[info.filename.removesuffix(".npy")] = _header(member)
            return result


def read_arrays(
    path: str | Path, *, expected: str, fix: str, only: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, by name, or the one of an `.npy` under the name "".

    Numbers come in the machine's byte order, at most 8 bytes wide; texts as numpy's `U`.

    Args:
        only: names that are wanted; other arrays of an `.npz` are not unpacked, so they may hold anything.

    Raises:
        InputError: no such file, neither format, a claim that the file does not hold, or objects.
    """
    content = read_bytes(path, expected=expected, fix=fix, most=LARGEST_FILE)
    with refusing(path, expected=expected, fix=fix):
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return {"": parse_array(content)}
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {info.filename.removesuffix(".npy"): info for info in _members(archive)}
            return {
                name: parse_array(_unpacked(archive, info))
                for name, info in names.items()
                if only is None or name in only
            }


def parse_array(content: bytes) -> np.ndarray:
    """The array that the bytes of an `.npy` file hold.

    Raises:
        ValueError: it is none, or its header does not agree with the bytes after it.

    >>> file = io.BytesIO(); np.save(file, np.arange(3, dtype=">f4"))
    >>> parse_array(file.getvalue())
    array([0., 1., 2.], dtype=float32)
    """
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format")
    shape, by_columns, dtype = _HEADERS[version](file)
    if dtype.kind not in "biufU" or (dtype.kind != "U" and dtype.itemsize > 8) or dtype.itemsize == 0:
        raise ValueError(f"values of type {dtype}")
    count, there = math.prod(shape), len(content) - file.tell()
    if any(size < 0 for size in shape) or count * dtype.itemsize != there:
        raise ValueError(f"{there:,} bytes after a header that promises {count:,} values of {dtype.itemsize} bytes")
    values = np.frombuffer(content, dtype=dtype, count=count, offset=file.tell()).reshape(
        shape, order="F" if by_columns else "C"
    )
    return values.astype(dtype.newbyteorder("="))  # a copy that can be written to


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"an archive of {len(members):,} members")
    return members


def _header(file: IO[bytes]) -> ArrayHeader:
    start = io.BytesIO(file.read(_LONGEST_HEADER))
    version = np.lib.format.read_magic(start)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = _HEADERS[version](start)
    return ArrayHeader(tuple(shape), dtype.kind)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of one member, whose claimed size is compared with what can be packed into it."""
    if info.file_size > _DEFLATE * max(info.compress_size, 1) or info.file_size > LARGEST_FILE:
        raise ValueError(f"a member {info.filename[:60]!r} that claims {info.file_size:,} bytes")
    return archive.read(info)
