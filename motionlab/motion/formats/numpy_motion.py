"""The part that readers of `.npy` and `.npz` share: formats are recognised by names and shapes, before values are read.

Many kinds of motion share the two suffixes, and no file says which kind it is. The headers do: `[T, 272]`, `[T, 263]`
and `[T, 85]` are three formats, and an archive with `poses` and `trans` is a fourth.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.files.arrays import ArrayHeader, read_arrays, read_headers
from motionlab.motion.formats.source import ReadOptions
from motionlab.motion.frame_rate import whole_rate

SUFFIXES = (".npy", ".npz")
LARGEST = 1e6  # of a coordinate or an angle: sums and products of larger numbers overflow far from here
FPS_KEYS = ("fps", "mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate")
_EXPECTED = "a numpy file of a motion"
_FIX = "Make the file again, or leave it out."


def headers(path: Path) -> dict[str, ArrayHeader]:
    """Name to shape and kind of the arrays of a file; the one of an `.npy` has the name "".

    Raises:
        InputError: no such file, or no numpy file.
    """
    if not path.is_file():
        return read_headers(path, expected=_EXPECTED, fix=_FIX)
    now = path.stat()
    return _remembered(path, now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=4)
def _remembered(path: Path, changed: int, size: int) -> dict[str, ArrayHeader]:
    """A file is asked by one format after the other; it is opened once."""
    return read_headers(path, expected=_EXPECTED, fix=_FIX)


def has_numbers(header: ArrayHeader | None, *shape: int | None) -> bool:
    """Whether an array holds numbers and has this shape; None stands for any size."""
    if header is None or header.kind not in "fiu" or len(header.shape) != len(shape):
        return False
    return all(wanted is None or size == wanted for size, wanted in zip(header.shape, shape, strict=True))


def is_table(path: Path, columns: int) -> bool:
    """Whether a file is an `.npy` of `[T, columns]` numbers."""
    return has_numbers(headers(path).get(""), None, columns)


def load(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays with these names, those that there are."""
    return read_arrays(path, expected=_EXPECTED, fix=_FIX, only=names)


def numbers(path: Path, name: str, values: np.ndarray) -> Tensor:
    """An array as float64 with at least one frame, after a check of every number.

    Raises:
        InputError: no frames, a number that is not finite, or one above a million; the frame is named.
    """
    result = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
    what = name or "the array"
    if result.numel() == 0:
        raise wrong(path, f"{what} of shape {tuple(result.shape)}", "at least one frame")
    good = result.abs() <= LARGEST  # NaN compares as false
    if not bool(good.all()):
        place = (~good).nonzero()[0]
        raise wrong(path, f"{float(result[tuple(place)])} in frame {int(place[0])} of {what}", "finite numbers")
    return result


def file_fps(path: Path, arrays: dict[str, np.ndarray], options: ReadOptions) -> float | None:
    """Frames a second: those a person gave, else those of the file, else None.

    Raises:
        InputError: the file's is no positive number.
    """
    if options.fps is not None:
        return options.fps
    for key in FPS_KEYS:
        if key in arrays:
            value = arrays[key]
            if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < float(value.reshape(())) <= LARGEST:
                raise wrong(path, f"{key} {value.tolist() if value.size < 9 else value.shape}", "one positive number")
            return whole_rate(float(value.reshape(())))  # 120.00004577 in AMASS
    return None


def need_fps(path: Path, fps: float | None, known: str) -> float:
    """The frame rate, or an error that asks for it.

    Args:
        known: files of this kind and their frame rates, as a hint.
    """
    if fps is None:
        raise InputError(
            path,
            found="no frame rate",
            expected="frames a second, which files of this kind cannot say",
            fix=f"Give --fps ({known}).",
        )
    return fps


def times_at(frames: int, fps: float) -> Tensor:
    """`[frames]` seconds from 0, float64."""
    return torch.arange(frames, dtype=torch.float64) / fps


def wrong(path: object, found: str, expected: str, fix: str = _FIX) -> InputError:
    """The error of a file that cannot be used."""
    return InputError(path, found=found, expected=expected, fix=fix)
