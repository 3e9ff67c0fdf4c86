"""JSON records: everything we write besides tensors, each with a type for every field and a digest of itself.

    {"format": 1, "step": 1200, ..., "record_sha256": "9f86d081..."}

The type is a dataclass. Reading compares every value with the annotation of its field (msgspec does that), so that code
further on never meets a text where it expects a number. The digest is that of all other keys, in sorted order and
without blanks: a flipped bit that leaves valid JSON behind is still found. A record without a digest, written by an
earlier version or by hand, is only compared with its type.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from motionlab.errors import InputError
from motionlab.files.atomic import write_text
from motionlab.files.reading import LARGEST_TEXT, read_text, refusing

T = TypeVar("T")
LONGEST_NUMBER = 40  # digits; the state of a random generator has 39
DIGEST_KEY = "record_sha256"


def write_record(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write JSON with its digest, whole or not at all.

    Raises:
        InputError: the folder cannot be written or the disk is full; the old file is untouched.
    """
    write_text(path, record_text(values))


def record_text(values: Mapping[str, Any]) -> str:
    """The text of a record: indented JSON that ends with the digest of everything before it.

    >>> print(record_text({"step": 3}), end="")
    {
     "step": 3,
     "record_sha256": "f2c76473acac2fa2146cd9615b918e8ae33033c5a78dd320338b04ac6fa438ab"
    }
    """
    plain = json.loads(json.dumps({key: value for key, value in values.items() if key != DIGEST_KEY}))
    return json.dumps({**plain, DIGEST_KEY: _digest(plain)}, indent=1) + "\n"


def read_record(path: str | Path, kind: type[T], *, expected: str, fix: str, finite: bool = True) -> T:
    """A record as an instance of `kind`, a dataclass (or `dict[str, float]` and the like).

    Keys that the dataclass does not know are left out: a newer version may have written them.

    Args:
        finite: refuse NaN and infinity anywhere in it.

    Raises:
        InputError: no such file, no JSON, a key twice, a field of another type, or a digest that does not agree.
    """
    text = read_text(path, expected=expected, fix=fix)
    return parse_record(text, kind, path, expected=expected, fix=fix, finite=finite)


def parse_record(text: str, kind: type[T], where: object, *, expected: str, fix: str, finite: bool = True) -> T:
    """The same of a text that was read already; `where` names it in errors."""
    values = parse_json(text, where, expected=expected, fix=fix, finite=finite)
    if not isinstance(values, dict):
        raise InputError(where, found=f"a {type(values).__name__}", expected=expected, fix=fix)
    stored = values.pop(DIGEST_KEY, None)
    if stored is not None and stored != _digest(values):
        raise InputError(where, found="changed content", expected=f"{expected}, as it was written", fix=fix)
    return typed(values, kind, where, expected=expected, fix=fix)


def typed(values: Any, kind: type[T], where: object, *, expected: str, fix: str) -> T:
    """Values that were parsed already as an instance of `kind`; an InputError names the first that does not fit."""
    with refusing(where, expected=expected, fix=fix):
        return msgspec.convert(values, kind)


def parse_json(text: str, where: object, *, expected: str, fix: str, finite: bool = True) -> Any:
    """The value of a JSON text in which every key appears once.

    Raises:
        InputError: no JSON, a key twice, nested too deeply, or (with `finite`) NaN or infinity.
    """
    if len(text) > LARGEST_TEXT:
        raise InputError(where, found=f"{len(text):,} letters", expected=expected, fix=fix)
    with refusing(where, expected=expected, fix=fix):
        if not finite:
            return json.loads(text, object_pairs_hook=_once, parse_int=_whole)
        return json.loads(text, object_pairs_hook=_once, parse_int=_whole, parse_constant=_finite, parse_float=_finite)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return values


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:  # float() and torch end in an OverflowError of their own with more
        raise ValueError(f"a whole number of {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)  # "NaN", "-Infinity", and 1e999, which is infinite, too
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]}, which is no finite number")
    return value


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
