"""One way to say that an input is wrong.

Every error a user can cause answers five questions in one line: which file or argument, which field,
what was found, what was expected, and what to do. The command line prints the line and exits with 2.
"""

from __future__ import annotations

import errno
import importlib
import unicodedata
from collections.abc import Sequence
from functools import partial
from typing import Any

LONGEST = 2000  # characters of one part of a message: enough for any list of names, and a screen does not run away
# Control characters, lone halves of surrogate pairs, characters that no one sees or that turn the direction of
# writing, and the two that break lines. Spaces of other scripts, Chinese ones included, stay.
_UNSEEN = ("Cc", "Cs", "Cf", "Zl", "Zp")
# The words of torch's allocators, of oneDNN, C++, the dynamic loader, and of threads that cannot start.
_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "unable to allocate",
    "bad_alloc",
    "could not create a primitive",
    "could not create a memory object",
    "can't start new thread",
    "thread constructor failed",
    "failed to map segment",
    "pyobject pointer is null",  # Rust, in safetensors and tokenizers
)


def printable(text: object, *, lines: bool = False) -> str:
    r"""A text that any terminal, table or file takes: a character that would do something, or is none, is escaped.

    File names, names of runs, captions, keys and values come from outside. Everything that is shown goes through here.

    Args:
        lines: keep line breaks and tabs, for a text that has several lines on purpose.

    >>> print(printable("walk\x1b[31m\nnext"), printable("\ud800"), printable("走路 ≈ ✓"))
    walk\x1b[31m\nnext \ud800 走路 ≈ ✓
    """
    raw = _text(text)
    if raw.isascii() and raw.isprintable():
        return raw
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter in kept or unicodedata.category(letter) not in _UNSEEN else _escaped(letter) for letter in raw
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory: from any allocator, or a thread that could not start.

    Each has a class of its own: CUDA's, Python's, numpy's, a plain RuntimeError of torch on a CPU and of oneDNN, an
    OSError of the system, an ImportError of a library that found no room.
    """
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):  # torch's; not imported for this
        return True
    kinds = (RuntimeError, OSError, ImportError, SystemError)
    if not isinstance(error, kinds) and type(error).__name__ not in ("SafetensorError", "PanicException"):
        return False
    text = str(error).lower()
    return any(words in text for words in _MEMORY_WORDS)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or the name of its class where it has no text, as a MemoryError.

    >>> first_line(MemoryError()), first_line(RuntimeError("one\\ntwo"))
    ('MemoryError', 'one')
    """
    return printable((_text(error).splitlines() or [type(error).__name__])[0])


class InputError(ValueError):
    """An input of the user cannot be used. Each part is `printable` and on one line, wherever it came from.

    Args:
        where: the file, argument or config key that is wrong.
        found: what was there.
        expected: what should have been there.
        fix: what to do now, as an imperative sentence.

    >>> print(InputError("walk.npy", found="shape (38, 263)", expected="(T, 272)", fix="Convert it first."))
    walk.npy: found shape (38, 263), expected (T, 272). Convert it first.
    """

    def __init__(self, where: object, *, found: object, expected: object, fix: str) -> None:
        self.where = _shortened(printable(where))
        self.found, self.expected, self.fix = (
            _shortened(printable(" ".join(_text(part).splitlines()))) for part in (found, expected, fix)
        )
        super().__init__(f"{self.where}: found {self.found}, expected {self.expected}. {self.fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle would call InputError(message) and fail; errors cross process boundaries in worker pools.
        return partial(InputError, found=self.found, expected=self.expected, fix=self.fix), (self.where,)


class MissingExtra(ImportError):
    """An optional package is not installed; the message names the extra that brings it.

    >>> print(MissingExtra("transformers", extra="text", purpose="encode new captions"))
    transformers is not installed, and it is needed to encode new captions. Run: pip install "motionlab[text]"
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        self.extra, self.purpose = extra, purpose
        super().__init__(
            f'{package} is not installed, and it is needed to {purpose}. Run: pip install "motionlab[{extra}]"',
            name=package,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(MissingExtra, extra=self.extra, purpose=self.purpose), (self.name,)


def check_choice(where: str, value: str, choices: Sequence[str]) -> None:
    """Raise an InputError unless `value` is one of `choices`.

    >>> check_choice("unit", "feet", ("m", "cm"))
    Traceback (most recent call last):
    motionlab.errors.InputError: unit: found 'feet', expected m or cm. Choose one of these.
    """
    if value not in choices:
        raise InputError(where, found=repr(value), expected=" or ".join(choices), fix="Choose one of these.")


def optional_module(name: str, *, extra: str, purpose: str) -> Any:
    """A module of a package that an extra brings, imported when it is needed.

    Raises:
        MissingExtra: it is not installed.

    >>> optional_module("no_such_package.part", extra="parquet", purpose="read Parquet files")
    Traceback (most recent call last):
    motionlab.errors.MissingExtra: no_such_package is not installed, and it is needed to read Parquet files. Run: pip \
install "motionlab[parquet]"
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(name.partition(".")[0], extra=extra, purpose=purpose) from error


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"


def _text(value: object) -> str:
    """`str(value)`, also where that fails: a whole number of more than 4,300 digits, a list within itself."""
    try:
        return str(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} that is too large to be written"


def _escaped(letter: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(letter) or letter.encode("unicode_escape").decode("ascii")
