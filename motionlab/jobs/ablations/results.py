"""The file of an ablation: one JSON line per trained point, so that a stopped run loses nothing that was finished.

    {"ablation": "tokenizer", "torch": "2.13.0", "settings": {...}}                  the first line: what all share
    {"point": {"quantizer": "fsq", "codebook_size": 1024, "seed": 0}, "result": {"mpjpe_mm": 182.182, ...}}
    ...

A line is appended with one write and then forced to the disk. A process that is killed leaves at most half a line at
the end, which has no line break; it is not read, and cut off before the next line is written.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch

from motionlab.config import RunConfig, to_mapping
from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.files.reading import read_text, refusing
from motionlab.files.records import parse_record
from motionlab.jobs.ablations.tokenizer_point import KEYS, SETTINGS, Point, Result, usual_value
from motionlab.jobs.prepare import data_digest

T = TypeVar("T")
EXPECTED, FIX = "a result file", "Restore the file, or move it away: motionlab ablate makes a new one."


@dataclass(frozen=True)
class Row:
    """One trained point: what it was trained with and what it reached.

    >>> numbers = Result(70, 180, 5, 1000, 1, 2.5, 2.1, 20480, 846, 0.846, 387, 30)
    >>> row = Row({"quantizer": "fsq", "codebook_size": 1024, "seed": 0}, numbers)
    >>> row["quantizer"], row["lr"], row["mpjpe_mm"]  # lr is not named, so it has the usual value
    ('fsq', 0.003, 180)
    """

    point: Point
    result: Any

    def __getitem__(self, name: str) -> Any:
        if name in self.point:
            return self.point[name]
        if hasattr(self.result, name):
            return getattr(self.result, name)
        if name in KEYS:
            return usual_value(name)
        raise InputError(
            "row", found=repr(name), expected="a key of a config or a field of Result", fix="Check the name."
        )


def key_of(point: Mapping[str, Any]) -> str:
    """A canonical point as text that can be looked up."""
    return json.dumps(dict(point), sort_keys=True)


def load_rows(path: str | Path, result: type[Any] = Result) -> list[Row]:
    """Read every finished point of a result file, in the order of the file.

    Args:
        result: the class of its results.

    Raises:
        InputError: the file is missing, or a line other than a half-written last one is not of this form.
    """
    return _read(Path(path), result)[1]


def start_file(path: Path, config: RunConfig) -> list[Row]:
    """Make the result file of a tokenizer ablation, or open one to continue; return what it already holds.

    Raises:
        InputError: it holds results of other settings, or on other motions.
    """
    ours = shared_settings(config)
    if config.data.source != "composed":
        ours = {"data": {"source": config.data.source}, **ours}
    ours["corpus"] |= {"digest": data_digest(config)[:16]}  # other samples, other clips
    return open_file(path, ours, lambda: {"ablation": "tokenizer", "torch": torch.__version__, "settings": ours})


def open_file(
    path: Path,
    ours: Mapping[str, Mapping[str, Any]],
    header: Callable[[], Mapping[str, Any]],
    result: type[Any] = Result,
) -> list[Row]:
    """Make a result file with this first line, or open one to continue; return what it already holds.

    Args:
        ours: the settings that all points share.
        header: makes the first line, with `ours` as "settings"; called only when the file does not exist.

    Raises:
        InputError: the file holds results of other settings.
    """
    if not path.exists():
        write_text(path, json.dumps(header()) + "\n")
        return []
    first, rows = _read(path, result)
    theirs: dict[str, dict[str, Any]] = first["settings"]
    # Only what the file names is compared: a setting that was invented later had its usual value then.
    for section, keys in theirs.items():
        for name, value in keys.items():
            if ours.get(section, {}).get(name) != value:
                raise InputError(
                    f"{path}: {section}.{name}",
                    found=f"results with {value!r}",
                    expected=repr(ours.get(section, {}).get(name)),
                    fix="Choose another --out, or name the key in the grid.",
                )
    return rows


def append_row(path: Path, row: Row) -> None:
    """Add one line, whole or not at all for every later reader.

    Raises:
        InputError: a number that is not finite, which no reader of the file would take; nothing is written.
    """
    try:
        line = json.dumps({"point": row.point, "result": asdict(row.result)}, allow_nan=False) + "\n"
    except ValueError:
        found = "a result with NaN or infinity"
        raise InputError(path, found=found, expected="finite numbers", fix="Change the point.") from None
    with open(path, "rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)  # half a line of a killed process
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def shared_settings(config: RunConfig) -> dict[str, dict[str, Any]]:
    """The settings of `SETTINGS`, as a config has them."""
    values = to_mapping(config)
    return {section: {key: values[section][key] for key in keys} for section, keys in SETTINGS.items()}


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows whose keys have these values; a tuple or list means any of its entries.

    Every row of a grid has its learning rate and its number of steps, named or not: `select(rows, lr=3e-3)` works.
    """
    choices = {key: value if isinstance(value, (tuple, list)) else (value,) for key, value in wanted.items()}
    return [row for row in rows if all(row[key] in choice for key, choice in choices.items())]


def values(rows: Iterable[Row], field: str, **wanted: Any) -> list[float]:
    """One field of the selected rows, one number per row.

    Raises:
        InputError: nothing was selected.
    """
    found = [row[field] for row in select(rows, **wanted)]
    if not found:
        raise InputError("rows", found="none", expected=f"rows with {wanted}", fix="Train them: motionlab ablate.")
    return found


def mean(rows: Iterable[Row], field: str, **wanted: Any) -> float:
    """Mean of one field over the selected rows, as a rule over the seeds."""
    found = values(rows, field, **wanted)
    return math.fsum(found) / len(found)


def read_header(path: str | Path) -> dict[str, Any]:
    """The first line of a result file: what all its points share."""
    return _read(Path(path), dict)[0]


def _read(path: Path, result: type[Any]) -> tuple[dict[str, Any], list[Row]]:
    """The first line and the rows of a file."""
    text = read_text(path, expected=EXPECTED, fix=FIX)
    *lines, _half = text.split("\n")  # after the last line break comes nothing, or half a line
    if not lines:
        raise InputError(path, found="no whole line", expected=EXPECTED, fix=FIX)
    header = _record(lines[0], dict[str, Any], path, 1)
    _record(lines[0], _Header, path, 1)
    rows = dict[str, Row]()
    for number, line in enumerate(lines[1:], start=2):
        record = _record(line, _Line, path, number)
        with refusing(f"{path}, line {number}", expected=EXPECTED, fix=FIX):
            row = Row(record.point, msgspec.convert(record.result, result))
        rows.setdefault(key_of(row.point), row)
    return header, list(rows.values())


@dataclass
class _Header:
    """The first line, as far as it is relied on."""

    settings: dict[str, dict[str, Any]]


@dataclass
class _Line:
    """Any other line."""

    point: dict[str, str | bool | int | float | list[float] | None]
    result: dict[str, Any]


def _record(line: str, kind: type[T], path: Path, number: int) -> T:
    return parse_record(line, kind, f"{path}, line {number}", expected=EXPECTED, fix=FIX)
