"""The formats that motions are read from and written to: one entry per format, one file per entry.

A new format is one file in this folder that ends in `FORMAT = Format(...)`, and one line in `FORMATS` of `read.py`. A
new way out is a file that ends in `WRITER = Writer(...)`, and one line in `WRITERS` of `write.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from motionlab.motion.formats.source import Reading, ReadOptions
from motionlab.motion.motion import Motion


@dataclass(frozen=True)
class Format:
    """How one kind of file becomes motions.

    Args:
        name: as people call it.
        suffixes: of its files, in lower case and with the dot.
        carries: what such a file holds, in one line.
        loses: what of a motion it cannot hold, or what we do not read, in one line.
        recognises: whether a file with one of the suffixes is of this format; looks at its beginning only. Formats
            are asked in the order of `FORMATS`, and the first that says yes reads the file.
        read: the motions of a file, one after the other.
        extra: the extra that brings a package which `read` needs.
    """

    name: str
    suffixes: tuple[str, ...]
    carries: str
    loses: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], Iterator[Reading]]
    extra: str | None = None


@dataclass(frozen=True)
class WriteOptions:
    """Options of a file that is written; None is the default of the format.

    Args:
        unit: "m" or "cm".
        order: of the rotation channels, such as "ZYX".
        up: the axis that points up, "y" or "z".
    """

    unit: str | None = None
    order: str | None = None
    up: str | None = None

    def given(self) -> dict[str, str]:
        """The options that were given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Writer:
    """How a motion becomes one kind of file.

    Args:
        name: as people call the format; that of its `Format` where it can be read, too.
        key: one word for it, for `--to`.
        suffixes: of its files, in lower case and with the dot. Several writers may share one.
        loses: what of a motion such a file cannot hold, in one line.
        write: writes the file, whole or not at all.
        fps: the only frame rate of the format; None: any.
        takes: fields of `WriteOptions` that `write` heeds.
        decode: places of the joints `[T, 22, 3]` in metres out of such a file, where no `Format` reads it.
        skips: frames at the beginning of a motion that such a file lacks.
    """

    name: str
    key: str
    suffixes: tuple[str, ...]
    loses: str
    write: Callable[[Path, Motion, WriteOptions], None]
    fps: float | None = None
    takes: tuple[str, ...] = ()
    decode: Callable[[Path], Tensor] | None = None
    skips: int = 0


def any_file(path: Path) -> bool:
    """For a format whose suffix says enough."""
    return True
