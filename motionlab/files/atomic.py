"""Writing files so that a crash never leaves half of one, and knowing them by their hash.

The recipe is the old one: write a temporary file in the same folder, flush it to the disk (`fsync`), then rename.
A rename within one file system is atomic: a reader sees the old file or the new one, never a mixture.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files.litter import temporary_prefix


@contextlib.contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path next to `target`; on success it becomes `target`, on any failure it is removed.

    Raises:
        InputError: the folder cannot be written, or the disk is full. The old `target` is untouched.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "note.txt") as temporary:
    ...     _ = temporary.write_text("whole or not at all")
    >>> (folder / "note.txt").read_text()
    'whole or not at all'
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp rather than a fixed name: two processes may save the same file at once. The suffix is kept because
        # some writers (numpy, Pillow) choose the format by it.
        prefix = temporary_prefix(target.stem)  # names this process, so that `sweep` finds what a kill leaves
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def cannot_write(target: Path, error: OSError) -> InputError:
    """The error to raise when writing `target`, a file or a folder, failed before anything took its place."""
    return InputError(
        target,
        found=f"{error.strerror or error} while writing",
        expected="a folder that can be written, with free space",
        fix="Free some space or choose another folder; what was there before is unchanged.",
    )


def write_text(target: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically. Halves of surrogate pairs, which UTF-8 does not have, are escaped."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(path: str | Path) -> str:
    """Hex digest of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable (POSIX: the directory entry needs its own fsync)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
