"""A folder that appears complete or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from motionlab.files import cannot_write
from motionlab.files.litter import temporary_prefix
from motionlab.files.lock import locked

PATIENCE = 3600.0  # seconds that a process waits for another one that makes the same folder


@contextlib.contextmanager
def building(folder: str | Path) -> Iterator[Path]:
    """Fill the temporary folder given; on success it becomes `folder` (replacing it), on failure it vanishes.

    Raises:
        InputError: the folder cannot be written, or the disk is full.
    """
    folder = Path(folder)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=temporary_prefix(folder.name), dir=folder.parent))
        yield temporary
        os.chmod(temporary, 0o755)  # mkdtemp makes private folders
        _replace_folder(temporary, folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def build_once(folder: Path, fill: Callable[[Path], object], wait: float = PATIENCE) -> None:
    """Fill a folder of the cache unless it is there. One process fills it, the others wait for that.

    Args:
        fill: writes into the temporary folder that it is given.
        wait: seconds until a process that waits gives up.

    Raises:
        InputError: the folder cannot be written, or another process took too long.
    """
    if folder.is_dir():
        return
    with locked(folder.with_suffix(".lock"), wait=wait):
        if not folder.is_dir():
            with building(folder) as temporary:
                fill(temporary)


def _replace_folder(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`. A folder with content cannot be renamed over, so an old one is moved away first."""
    if not folder.exists():
        os.rename(new, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=temporary_prefix(f"{folder.name}.old"), dir=folder.parent))
    try:
        os.rename(folder, old / "store")
        try:
            os.rename(new, folder)
        except OSError:
            os.rename(old / "store", folder)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
