"""The door that every file comes in by.

A file from elsewhere may be anything: half a download, another format, flipped bits, a header that promises petabytes.
A parser answers with whatever exception it happens to meet, a dozen kinds of them. A user needs one answer: which file,
what was found, what was expected, what to do. So a reader does three things here, in this order: it looks at the size
before it reads, it parses inside `refusing`, and it checks the values before it hands them on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from motionlab.errors import InputError, MissingExtra

LARGEST_TEXT = 1 << 28  # bytes of a text file that is read at once: 256 MiB
LONGEST_REASON = 200  # letters of a parser's own message


@contextlib.contextmanager
def refusing(path: object, *, expected: object, fix: str) -> Iterator[None]:
    """Turn every exception that a parser raises inside into one `InputError` that names `path`.

    Put only the parsing inside: a fault of the code around it must stay a traceback. Errors that already say what to
    do pass, and so does `MemoryError`: a machine that is too small is no fault of the file.

    >>> with refusing("walk.json", expected="JSON", fix="Make the file again."):
    ...     raise KeyError("frames")
    Traceback (most recent call last):
    motionlab.errors.InputError: walk.json: found no 'frames', expected JSON. Make the file again.
    """
    try:
        yield
    except (InputError, MissingExtra, MemoryError):
        raise
    except Exception as error:
        raise InputError(path, found=reason(error), expected=expected, fix=fix) from error


def reason(error: Exception) -> str:
    """An exception in a few words on one line.

    >>> reason(KeyError("fps")), reason(RecursionError("maximum recursion depth exceeded")), reason(EOFError())
    ("no 'fps'", 'values nested too deeply', 'EOFError')
    """
    if isinstance(error, FileNotFoundError):
        return "no file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "values nested too deeply"
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"no {text}"
    if len(text) > LONGEST_REASON:
        text = text[:LONGEST_REASON] + " ..."
    return text or type(error).__name__


def read_bytes(path: str | Path, *, expected: object, fix: str, most: int = LARGEST_TEXT) -> bytes:
    """The content of a file of at most `most` bytes.

    Raises:
        InputError: no such file, no regular file (a pipe would be waited for), too large, or it cannot be read.
    """
    path = Path(path)
    with refusing(path, expected=expected, fix=fix):
        if not path.is_file():
            raise InputError(path, found=what_is_there(path), expected=expected, fix=fix)
        size = path.stat().st_size
        if size > most:
            raise InputError(path, found=f"{size:,} bytes", expected=f"{expected} of at most {most:,} bytes", fix=fix)
        return path.read_bytes()


def read_text(path: str | Path, *, expected: object, fix: str, most: int = LARGEST_TEXT) -> str:
    """The content of a UTF-8 file of at most `most` bytes, with or without a byte order mark.

    Raises:
        InputError: as `read_bytes`, or it is not UTF-8.
    """
    content = read_bytes(path, expected=expected, fix=fix, most=most)
    with refusing(path, expected=expected, fix=fix):
        return content.decode("utf-8-sig")


def what_is_there(path: Path) -> str:
    """In words, what stands where a file should be: nothing, a folder, or something that cannot be read to its end."""
    if path.is_dir():
        return "a folder"
    return "no regular file" if path.exists() else "no file"
