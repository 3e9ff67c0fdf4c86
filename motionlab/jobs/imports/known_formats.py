"""The registry of formats as a table."""

from __future__ import annotations

import importlib.metadata
import re
import textwrap

from motionlab.motion.formats.read import FORMATS
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.write import WRITERS

WIDTH = 110  # letters of a line
_INDENT = 4


def format_lines() -> list[str]:
    """For each format its name, suffixes, what it carries and loses, and whether its extra is installed.

    After those that are read come those that are written.
    """
    lines = []
    for known in FORMATS:
        lines.append(f"{known.name}: {', '.join(known.suffixes)}")
        lines += _part("carries", known.carries) + _part("loses", known.loses)
        if known.extra is not None:
            lines += _part("needs", _need(known))
    lines.append("Written by `motionlab convert`:")
    for writer in WRITERS:
        lines.append(f"{writer.name}: {', '.join(writer.suffixes)} (--to {writer.key})")
        lines += _part("loses", writer.loses)
    return lines


def _part(title: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{title} {text}", WIDTH, initial_indent=" " * _INDENT, subsequent_indent=" " * (_INDENT + len(title) + 1)
    )


def _need(known: Format) -> str:
    lacking = missing_packages(known.extra or "")
    if lacking:
        return f'{", ".join(lacking)}, not installed: pip install "motionlab[{known.extra}]"'
    return f"the extra {known.extra}, which is installed"


def missing_packages(extra: str) -> list[str]:
    """Packages of an extra that are not installed, by what the installed motionlab declares."""
    try:
        declared = importlib.metadata.requires("motionlab") or []
    except importlib.metadata.PackageNotFoundError:  # run from a folder that was not installed
        declared = []
    names = [
        re.split(r"[^A-Za-z0-9._-]", line)[0] for line in declared if re.search(rf"extra == ['\"]{extra}['\"]", line)
    ]
    if not names:
        return [extra]  # an extra bears the name of its package where nothing is declared
    return [name for name in names if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
