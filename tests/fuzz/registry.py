"""The formats that are tried, each with its valid sample and what reading it promises."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAMILIES = ("settings", "motions", "scenes", "folders", "arrays", "reports", "tensors", "robots")
FORMATS: dict[str, Format] = {}


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        name: how it is called in results.
        make: writes a small valid sample into an empty folder and returns the files that may be mutated.
        read: reads the folder as the package does. Anything but an InputError is a fault.
        check: raises an AssertionError, or anything else, when a value that was read breaks what the reader promises.
        kinds: groups of `mutators.MUTATORS` that suit the files.
    """

    name: str
    make: Callable[[Path], list[Path]]
    read: Callable[[Path], Any]
    check: Callable[[Any], None]
    kinds: tuple[str, ...] = ("bytes", "text")


def register(entry: Format) -> None:
    """Add a format, or put it again: pytest imports each of these files once more to look for doctests."""
    FORMATS[entry.name] = entry


def load_formats() -> dict[str, Format]:
    """Every format, by name."""
    for family in FAMILIES:
        importlib.import_module(f"tests.fuzz.formats_{family}")
    return FORMATS
