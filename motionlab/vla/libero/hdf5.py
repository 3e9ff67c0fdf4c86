"""The door for HDF5 files: h5py when it is needed, and datasets whose claims are checked before they are read."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError, optional_module
from motionlab.files.reading import refusing, what_is_there

EXPECTED = "an HDF5 file of demonstrations in LIBERO's layout, with the group data/demo_0"
FIX = "Give a *_demo.hdf5 file of LIBERO, or one that motionlab has written."
_DEFLATE = 1032  # deflate never packs more than this many bytes into one
_LONGEST_TEXT = 1 << 16  # bytes
Group = Any  # of h5py, which is optional


def h5py() -> Any:
    """The package.

    Raises:
        MissingExtra: it is not installed.
    """
    return optional_module("h5py", extra="vla", purpose="read and write demonstrations in HDF5 files")


def open_file(path: str | Path) -> Any:
    """An open `h5py.File`, to read from; the caller closes it.

    Raises:
        InputError: no such file, or no HDF5.
    """
    path, package = Path(path), h5py()
    with refusing(path, expected=EXPECTED, fix=FIX):
        if not path.is_file():
            raise InputError(path, found=what_is_there(path), expected=EXPECTED, fix=FIX)
        return package.File(path, "r")


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[Any]:
    """An open file, closed afterwards; whatever h5py raises inside becomes one `InputError` that names the file."""
    with open_file(path) as file, refusing(path, expected=EXPECTED, fix=FIX):
        yield file


def find(group: Group, keys: tuple[str, ...]) -> str | None:
    """The first of some keys that a group has; None when it has none."""
    return next((key for key in keys if key in group), None)


def numbers(group: Group, key: str, columns: int | None, where: str) -> np.ndarray:
    """A dataset `[T, columns]` of finite numbers, as float64; `columns` None allows any number of them.

    Raises:
        InputError: another rank, too few columns, texts, NaN or infinity.
    """
    expected = f"finite numbers [T, {columns or 'D'}]"
    values = checked(group, key, where, rank=2, kinds="fiub", expected=expected)[()].astype(np.float64)
    if columns is not None and values.shape[1] < columns:
        raise InputError(f"{where}/{key}", found=f"shape {values.shape}", expected=expected, fix=FIX)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        found = f"NaN or infinity in row {bad[0, 0]}, column {bad[0, 1]}"
        raise InputError(f"{where}/{key}", found=found, expected=expected, fix="Leave this demonstration out.")
    return np.asarray(values)


def texts(group: Group, keys: tuple[str, ...]) -> dict[str, Any]:
    """Small datasets of text by name, as h5py gives them."""
    found = {key: group[key] for key in keys if key in group}
    small = {key: data for key, data in found.items() if isinstance(data, h5py().Dataset) and data.dtype.kind in "OSU"}
    return {key: data[()] for key, data in small.items() if data.size * data.dtype.itemsize <= _LONGEST_TEXT}


def checked(group: Group, key: str, where: str, *, rank: int, kinds: str, expected: str) -> Any:
    """A dataset of h5py, not read yet, of this rank and these kinds of values (numpy's letters).

    Raises:
        InputError: a group, another rank or kind, no row, or more values than the file can hold: a header may claim
            petabytes.
    """
    data = group[key]
    found = None
    if not isinstance(data, h5py().Dataset):
        found = "a group"
    elif data.dtype.kind not in kinds or data.ndim != rank or 0 in data.shape:
        found = f"shape {data.shape} of {data.dtype}"
    else:
        claimed, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
        if claimed > _DEFLATE * stored or stored > data.file.id.get_filesize():
            found = f"{claimed:,} bytes claimed, {stored:,} stored in a file of {data.file.id.get_filesize():,}"
    if found is not None:
        raise InputError(f"{where}/{key}", found=found, expected=expected, fix=FIX)
    return data
