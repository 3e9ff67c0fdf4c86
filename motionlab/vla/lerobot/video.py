"""Pictures out of a video file, by their time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motionlab.errors import InputError, optional_module
from motionlab.files.reading import refusing, what_is_there

_EXPECTED, _FIX = "a video of the episodes", "Fetch the data set again."


def frames_between(path: Path, begin: float, count: int, fps: float) -> np.ndarray:
    """`count` pictures from the time `begin` (seconds) on, `uint8 [count, H, W, 3]`.

    A picture is taken for the moment that it is nearest to. Videos store only some pictures whole, so reading starts
    at the last whole one before `begin`.

    Raises:
        InputError: no such file, no video, or fewer pictures than that.
        MissingExtra: av is not installed.
    """
    package = optional_module("av", extra="lerobot", purpose="read the videos of LeRobot data sets")
    if not path.is_file():
        raise InputError(path, found=what_is_there(path), expected=_EXPECTED, fix=_FIX)
    pictures: dict[int, np.ndarray] = {}
    with refusing(path, expected=_EXPECTED, fix=_FIX), package.open(str(path)) as container:
        stream = container.streams.video[0]
        container.seek(max(0, round((begin - 1 / fps) / stream.time_base)), stream=stream)
        for time, picture in _decoded(container, stream):
            number = round((time - begin) * fps)
            if number >= count:
                break
            if number >= 0:
                pictures[number] = picture.to_ndarray(format="rgb24")
    missing = [number for number in range(count) if number not in pictures]
    if missing:
        found = f"no picture at {begin + missing[0] / fps:.3f} s"
        raise InputError(path, found=found, expected=f"{count} from {begin:.3f} s on", fix=_FIX)
    return np.stack([pictures[number] for number in range(count)])


def _decoded(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    for picture in container.decode(stream):
        if picture.time is not None:
            yield float(picture.time), picture
