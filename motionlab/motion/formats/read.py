"""Read motions from any file that a format of the registry knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files.reading import what_is_there
from motionlab.motion.formats import (
    amass,
    asf_amc,
    bvh,
    c3d,
    deepmimic,
    fbx,
    gltf,
    humanml263,
    joints,
    joints_csv,
    kimodo,
    motion272,
    parquet,
    pickled,
    smpl85,
)
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion
from motionlab.motion.retargeting.retarget import retarget

FORMATS: tuple[Format, ...] = (
    bvh.FORMAT,
    asf_amc.FORMAT,
    gltf.FORMAT,
    fbx.FORMAT,
    deepmimic.FORMAT,
    # Numpy files, told apart by the names and shapes in their headers.
    motion272.FORMAT,
    humanml263.FORMAT,
    amass.FORMAT,
    smpl85.FORMAT,
    kimodo.FORMAT,
    joints.FORMAT,
    pickled.FORMAT,
    pickled.UNKNOWN,
    parquet.FORMAT,
    joints_csv.FORMAT,
    c3d.FORMAT,
)


def find_format(path: str | Path) -> Format:
    """The format of a file, by its suffix and, where several share one, by its beginning.

    Raises:
        InputError: no such file, or no format knows such files; those that there are are listed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, found=what_is_there(path), expected="a motion file", fix="Check the path.")
    for known in FORMATS:
        if path.suffix.lower() in known.suffixes and known.recognises(path):
            return known
    suffixes = sorted({suffix for known in FORMATS for suffix in known.suffixes})
    raise InputError(
        path,
        found="a file of no known format",
        expected=", ".join(suffixes),
        fix="See `motionlab formats` for what can be read.",
    )


def read_file(path: str | Path, options: ReadOptions | None = None) -> Iterator[Reading]:
    """The motions of a file, each on the body of the file.

    Raises:
        InputError: no such format, or a file that its format cannot read.
    """
    return find_format(path).read(Path(path), options or ReadOptions())


def read_motion(
    path: str | Path, *, fps: float = 30.0, up: str | None = None, options: ReadOptions | None = None
) -> Motion:
    """The one motion of a file of any known format, on our 22 joints.

    `motionlab formats` lists the formats; `motionlab import` reads folders and says how good each result is.

    Args:
        fps: frames a second of the result.
        up: axis of the file that points up, "y", "z", "-y" ...; what the file says, or its poses, when not given.
        options: more facts that the file does not contain.

    Raises:
        InputError: as `read_file`; several motions in the file; a body that cannot be retargeted.
    """
    options = options or ReadOptions()
    readings = list(read_file(path, options if up is None else replace(options, up=up)))
    if len(readings) != 1:
        raise InputError(
            path, found=f"{len(readings)} motions", expected="one", fix="Use read_file, or `motionlab import`."
        )
    motion = readings[0].motion
    return motion.resample(fps=fps) if isinstance(motion, Motion) else retarget(motion, fps=fps).motion
