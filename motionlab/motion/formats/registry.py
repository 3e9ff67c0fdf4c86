"""The formats that motions are read from: one entry a format, one file an entry.

A new format is one file in this folder that ends in `FORMAT = Format(...)`, and one line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from motionlab.motion.formats.source import Reading, ReadOptions


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


def any_file(path: Path) -> bool:
    """For a format whose suffix says enough."""
    return True
