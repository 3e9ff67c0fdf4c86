"""The surroundings that a user sets outside of any config: variables of the environment, paths, the terminal.

Each variable is read in one place and refused, by its name, before any work: a wrong one would end far from here, in a
traceback of the system or of torch, or be ignored without a word.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from motionlab.errors import InputError

Language = Literal["en", "zh"]
PROFILES = ("ci", "cpu", "gpu")
QUICK = "quick"  # what lessons call the profile `ci`: a learner has no build to think of
LONGEST_NAME = 255  # bytes of one name in a path, on nearly every file system
LONGEST_PATH = 4096 - 256  # bytes: Linux takes 4,096, and names are added to the folders that a user chooses
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
CONNECT_SECONDS = 600  # machines of a cluster do not start at the same minute


@dataclass(frozen=True)
class Launch:
    """The variables that torchrun sets for a process.

    Args:
        rank: number of this process among all, from 0.
        size: number of all processes.
        local_rank: number of this process among those of its machine, from 0.
        master: address and port of the process of rank 0.
    """

    rank: int
    size: int
    local_rank: int
    master: str


def thread_count() -> int | None:
    """The threads that `OMP_NUM_THREADS` asks for; None when it is not set. Of a list (nested levels) the first counts.

    Raises:
        InputError: something else than a whole number of at least 1.
    """
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return whole_number("OMP_NUM_THREADS", text, at_least=1, at_most=4096) if text else None


def launch() -> Launch | None:
    """The place of this process among those that torchrun started; None when torchrun did not start it.

    Raises:
        InputError: a variable of torchrun is wrong, or only some of them are set: then several processes may believe
            that each of them is alone.
    """
    given = [name for name in ("RANK", "WORLD_SIZE") if name in os.environ]
    if not given:
        return None
    missing = [name for name in TORCHRUN if not os.environ.get(name)]
    if missing:
        raise InputError(
            given[0],
            found=f"{given[0]}={os.environ[given[0]]} in the environment without {', '.join(missing)}",
            expected=f"all of {', '.join(TORCHRUN)}, as torchrun sets them, or none",
            fix=f"Start with torchrun, or unset {' and '.join(given)}.",
        )
    size = whole_number("WORLD_SIZE", os.environ["WORLD_SIZE"], at_least=1, at_most=2**20)
    rank = whole_number("RANK", os.environ["RANK"], at_least=0, at_most=size - 1)
    here = os.environ.get("LOCAL_WORLD_SIZE", str(size))
    local_size = whole_number("LOCAL_WORLD_SIZE", here, at_least=1, at_most=size)
    local = whole_number("LOCAL_RANK", os.environ.get("LOCAL_RANK", "0"), at_least=0, at_most=local_size - 1)
    port = whole_number("MASTER_PORT", os.environ["MASTER_PORT"], at_least=0, at_most=65535)
    return Launch(rank, size, local, f"{os.environ['MASTER_ADDR']}:{port}")


def connect_seconds() -> int:
    """How long a process waits for the others at the start; `MOTIONLAB_CONNECT_SECONDS` changes it."""
    text = os.environ.get("MOTIONLAB_CONNECT_SECONDS") or str(CONNECT_SECONDS)
    return whole_number("MOTIONLAB_CONNECT_SECONDS", text, at_least=1, at_most=7 * 24 * 3600)


def switched_on(name: str) -> bool:
    """Whether a variable is 1; unset, blank and 0 are off.

    Raises:
        InputError: it is something else.
    """
    return whole_number(name, os.environ.get(name) or "0", at_least=0, at_most=1) == 1


def asked_profile() -> str | None:
    """The profile that `MOTIONLAB_PROFILE` names, `ci` also for `quick`; None when it is not set.

    Raises:
        InputError: the variable holds something else.
    """
    value = os.environ.get("MOTIONLAB_PROFILE")
    if value is not None and value not in (QUICK, *PROFILES):
        expected = " or ".join((QUICK, *PROFILES[1:]))
        raise InputError("MOTIONLAB_PROFILE", found=repr(value), expected=expected, fix="Set it to one of these.")
    return PROFILES[0] if value == QUICK else value


def language() -> Language:
    """The language of `MOTIONLAB_LANG`; English when it is not set, or blank.

    Raises:
        InputError: there is no such language.
    """
    value = os.environ.get("MOTIONLAB_LANG", "").strip() or "en"
    for known in get_args(Language):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise InputError(
        "MOTIONLAB_LANG", found=repr(value), expected=" or ".join(get_args(Language)), fix="Set it to one of these."
    )


def whole_number(name: str, text: str, *, at_least: int, at_most: int) -> int:
    """The value of a variable of the environment.

    >>> whole_number("RANK", "1", at_least=0, at_most=3)
    1

    Raises:
        InputError: the text is no such number. (`isdigit` is not asked: "²" is a digit and no number.)
    """
    plain = text.strip()
    digits = plain.removeprefix("-")
    value = int(plain) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    if value is None or not at_least <= value <= at_most:
        raise InputError(
            name,
            found=f"{name}={text} in the environment",
            expected=f"a whole number, {at_least} to {at_most}",
            fix=f"Correct it, or unset {name}.",
        )
    return value


def usable_path(path: str | os.PathLike[str], where: object = "path") -> Path:
    """The path, when a file can have that name; whether it exists is another question.

    Raises:
        InputError: a NUL, a character that file names do not have, or more bytes than a system takes. Python raises
            a ValueError for the first, an OSError for the last, and both where the path happens to be used first.
    """
    text = os.fspath(path)
    try:
        lengths = [len(os.fsencode(name)) for name in Path(text).parts]
        found = "a NUL in a path" if "\0" in text else ""
    except UnicodeEncodeError:
        lengths, found = [], "a character that no file name has"
    if max(lengths, default=0) > LONGEST_NAME or sum(lengths) + len(lengths) > LONGEST_PATH:
        found = f"a path of {sum(lengths):,} bytes, its longest name of {max(lengths):,}"
    if found:
        raise InputError(
            where,
            found=f"{found} ({text[:40]}...)",
            expected=f"a path of at most {LONGEST_PATH:,} bytes, {LONGEST_NAME} per name",
            fix="Choose another path.",
        )
    return Path(text)


def let_anything_print() -> None:
    """A terminal or a pipe that knows ASCII only shows `\\u2248` for ≈, instead of an end in UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a notebook's stream has none, and takes everything
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
