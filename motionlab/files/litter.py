"""Names of temporary files, and their removal after a kill.

A temporary file or folder is removed by the process that made it, unless that is killed. So its name says who made it:
`.config.~1f2e3d4c-4711-k3v9x2ab.yaml` is for `config.yaml`, by process 4711 of the machine 1f2e3d4c. A later start
removes those of processes that have ended, and touches nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from pathlib import Path

_OURS = re.compile(r"\..*\.~(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-.*")
_WEEK = 7 * 24 * 3600.0
_LONGEST_STEM = 40  # characters; a file system takes names of 255 bytes


def temporary_prefix(stem: str) -> str:
    """How the name of a temporary file or folder of this process begins; random letters follow.

    >>> bool(_OURS.fullmatch(temporary_prefix("config") + "k3v9x2ab.yaml"))
    True
    """
    return f".{stem[:_LONGEST_STEM]}.~{_machine()}-{os.getpid()}-"


def temporary_folder(stem: str) -> tempfile.TemporaryDirectory[str]:
    """A folder in the system's place for temporary ones, for a `with` block; `sweep` finds it after a kill."""
    return tempfile.TemporaryDirectory(prefix=temporary_prefix(stem))


def sweep(folder: str | Path, *, depth: int = 4, strangers: float = _WEEK) -> list[Path]:
    """Remove the temporary files and folders that processes left which have ended; return what was removed.

    Args:
        depth: folders within folders that are looked into.
        strangers: seconds since the last change after which those of other machines (or of this one before it was
            started again) go, too: nobody can ask there whether the process still runs. 0 under a lock of the folder.
    """
    removed = []
    for path in _found(Path(folder), depth):
        match = _OURS.fullmatch(path.name)
        if match is None:
            continue
        with contextlib.suppress(OSError):  # removed by somebody else meanwhile
            if match["machine"] == _machine():
                over = not _was_there(int(match["process"]), _last_change(path))
            else:
                over = time.time() - _last_change(path) >= strangers
            if over:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed.append(path)
    return removed


def process_start(process: int) -> float | None:
    """When a process of this machine started, in seconds since 1970; None when none with this number runs."""
    import psutil  # takes as long to import as all of this module

    try:
        found = psutil.Process(process)
        # One that has ended and that nobody has asked about keeps its number; in a container that may be for ever.
        return None if found.status() == psutil.STATUS_ZOMBIE else float(found.create_time())
    except (psutil.Error, OverflowError):
        return None


def _was_there(process: int, moment: float) -> bool:
    """Whether the process with this number runs, and did already at this moment: numbers are given again."""
    started = process_start(process)
    return started is not None and started <= moment + 2.0  # seconds; clocks of file systems are coarse


def _found(folder: Path, depth: int) -> list[Path]:
    """Everything in a folder, without looking into temporary ones or through links."""
    found: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found.append(Path(entry.path))
            if depth > 1 and not _OURS.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                found += _found(Path(entry.path), depth - 1)
    return found


def _last_change(path: Path) -> float:
    """Seconds since 1970 of the last change of a file, or of anything in a folder."""
    return max([path.lstat().st_mtime, *(inner.lstat().st_mtime for inner in path.rglob("*"))])


@functools.cache
def _machine() -> str:
    """Eight digits for this machine since it was started, and for the container: process numbers mean nothing else."""
    facts = [platform.node()]
    with contextlib.suppress(OSError):  # only Linux has these
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        facts.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(' '.join(facts).encode()):08x}"
