"""Many short computations, kept in one JSON file: stop whenever you like, and give the same command again."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.runtime import one_thread

Record = dict[str, Any]
Point = tuple[str, Callable[[Record], None]]  # its name, and what puts its result into the record

Result = TypeVar("Result")


def read_result(path: str | Path, build: Callable[[Any], Result], command: str) -> Result:
    """The result of `build` on the JSON in a file that `command` wrote.

    Raises:
        InputError: the file is missing or not of this form.
    """
    try:
        return build(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, found=f"{type(error).__name__}: {error}", expected="a result file", fix=f"Make it again: {command}"
        ) from None


def short(value: float) -> float:
    """Five digits: as many as a result file keeps.

    >>> short(0.12345678)
    0.12346
    """
    return float(f"{value:.5g}")


def keep(record: Record, section: str, name: str, value: float) -> None:
    """Append a number to `record[section][name]`, a list over seeds; what is not finite becomes null."""
    record.setdefault(section, {}).setdefault(name, []).append(round(value, 6) if math.isfinite(value) else None)


def main(description: str, points: Iterable[Point], settings: Record) -> None:
    """Compute what is missing in the file that the command line names, saving after every point."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further point after this time")
    arguments = parser.parse_args()
    record: Record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    record["settings"] = settings
    done, began = record.setdefault("done", []), time.perf_counter()
    for name, compute in points:
        if name in done or time.perf_counter() - began > 60 * arguments.minutes:
            continue
        with one_thread():
            compute(record)
        done.append(name)
        write_text(arguments.out, json.dumps(record, indent=1) + "\n")
        print(f"{time.perf_counter() - began:6.1f} s  {name}", flush=True)
