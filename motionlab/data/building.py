"""A folder that appears complete or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from motionlab.files import cannot_write
from motionlab.files.litter import temporary_prefix


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
