"""The history of a training: a CSV file that a spreadsheet opens and a plot reads, and its rows as JSON lines.

One row for every `log_every` steps and for every validation. An empty cell means "not measured in this row". The CSV
file is the one that is read again; `history.jsonl` is for programs that follow a run: a line of it never changes. Each
is the other's check: a number that a broken disk changed in one of them is found when the history is read.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files import write_text
from motionlab.files.reading import read_text, refusing
from motionlab.files.records import parse_record

Row = dict[str, float]
FIRST_COLUMNS = ("step", "items", "seconds", "skipped", "lr", "grad_norm", "items_per_second", "loss")


class History:
    """Rows of numbers in memory and, when a path is given, in a CSV file and a JSON-lines file that grow with them.

    >>> history = History()
    >>> history.append({"step": 1, "loss": 0.5}); history.append({"step": 2, "loss": 0.25, "val_loss": 0.3})
    >>> history.column("loss"), history.points("val_loss")
    ([0.5, 0.25], ([2.0], [0.3]))
    """

    def __init__(self, path: str | Path | None = None, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self.path = None if path is None else Path(path)
        self.rows: list[Row] = [dict(row) for row in rows]
        self.columns = self._all_columns()
        if self.path is not None:
            write_text(self.path, self._as_csv())
            write_text(self.path.with_suffix(".jsonl"), "".join(_as_json(row) for row in self.rows))

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row. A new column rewrites the CSV file; otherwise one line is appended.

        Raises:
            InputError: the file cannot be written.
        """
        self.rows.append(dict(row))
        if self.path is None:
            self.columns = self._all_columns()
            return
        if any(name not in self.columns for name in row):
            self.columns = self._all_columns()
            write_text(self.path, self._as_csv())
        else:
            _append(self.path, self._line(row))
        _append(self.path.with_suffix(".jsonl"), _as_json(row))

    def column(self, name: str) -> list[float]:
        """One value per row, nan where the row has none.

        Raises:
            InputError: no row has this column.
        """
        if name not in self.columns:
            raise InputError(
                self.path or "history",
                found=repr(name),
                expected=", ".join(self.columns),
                fix="Use one of these columns.",
            )
        return [float(row.get(name, math.nan)) for row in self.rows]

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of the rows that have this column: ready to plot."""
        pairs = [
            (step, value)
            for step, value in zip(self.column("step"), self.column(name), strict=True)
            if not math.isnan(value)
        ]
        return [step for step, _ in pairs], [value for _, value in pairs]

    @classmethod
    def read(cls, path: str | Path) -> History:
        """Read a history file. A last line without its newline was cut by a crash and is left out.

        Raises:
            InputError: no such file, a line that is not numbers under the header (the line is named), or a number that
                `history.jsonl` next to it has otherwise.
        """
        rows = _read_rows(Path(path))
        _compare(Path(path), rows)
        return cls(rows=rows)

    @classmethod
    def resume(cls, path: str | Path, step: int) -> History:
        """Continue a history file, without the rows beyond the resumed step: they will be written again."""
        rows = cls.read(path).rows if Path(path).exists() else []
        return cls(path, [row for row in rows if row["step"] <= step])

    def _all_columns(self) -> list[str]:
        """The fixed columns first, then the others as they came: the order never depends on the run's length."""
        names = {name: None for row in self.rows for name in row}
        return [*FIRST_COLUMNS, *(name for name in names if name not in FIRST_COLUMNS)]

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(_cell(row.get(name)) for name in self.columns) + "\n"

    def _as_csv(self) -> str:
        return ",".join(self.columns) + "\n" + "".join(self._line(row) for row in self.rows)


def open_history(folder: Path | None, resumed_step: int | None = None) -> History:
    """The history of a run: new, or continued after `resumed_step`. Without a folder it stays in memory.

    (Only rank 0 of several processes has a folder; two processes would tear each other's lines.)
    """
    if folder is None:
        return History()
    path = folder / "history.csv"
    return History(path) if resumed_step is None else History.resume(path, resumed_step)


def _append(path: Path, line: str) -> None:
    try:
        with open(path, "a", encoding="utf-8", newline="") as file:
            file.write(line)
    except OSError as error:
        raise InputError(
            path, found=f"{error.strerror} while writing", expected="free space", fix="Free some space."
        ) from error


def _as_json(row: Mapping[str, float]) -> str:
    """One line of JSON, which has no nan and no inf: null replaces both."""
    return json.dumps({name: value if math.isfinite(value) else None for name, value in row.items()}) + "\n"


def _compare(path: Path, rows: Sequence[Row]) -> None:
    """Compare rows with the lines of `history.jsonl`; a kill may leave a row more in one of the two."""
    twin = path.with_suffix(".jsonl")
    if not twin.is_file():
        return
    fix = f"Restore the file that was changed, or remove {twin.name}."
    lines = read_text(twin, expected="the rows of a history", fix=fix).split("\n")[:-1]
    told = [parse_record(line, dict[str, float | None], twin, expected="rows of a history", fix=fix) for line in lines]
    by_step = {row.get("step"): row for row in told}
    for row in rows:
        other = by_step.get(row["step"], row)
        for name in {**row, **other}:
            here, there = (_finite(numbers.get(name)) for numbers in (row, other))
            if here != there:
                where = f"{path}, step {row['step']}"
                raise InputError(where, found=f"{name} {here}", expected=f"{there}, as in {twin.name}", fix=fix)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _number(text: str) -> float:
    if "_" in text or not text.isascii():  # Python would take 1_000
        raise ValueError
    digits = text.removeprefix("-")
    return int(text) if digits.isdigit() and len(digits) <= 18 else float(text)


def _read_rows(path: Path) -> list[Row]:
    text = read_text(path, expected="a history.csv", fix="Name the folder of a run.")
    whole = text[: text.rfind("\n") + 1]
    lines = csv.reader(io.StringIO(whole))
    with refusing(path, expected="a history.csv", fix="Name the history of a run."):
        columns = next(lines, [])
    if len(set(columns)) < len(columns):
        raise InputError(path, found="a column twice", expected="a history.csv", fix="Name the history of a run.")
    if "step" not in columns:
        raise InputError(path, found="no column step", expected="a history.csv", fix="Name the history of a run.")
    rows: list[Row] = []
    cells: list[str] = []
    try:
        for cells in lines:
            row = {name: _number(cell) for name, cell in zip(columns, cells, strict=True) if cell}
            if type(row["step"]) is not int or row["step"] < 0:
                raise ValueError
            rows.append(row)
    except (ValueError, KeyError, csv.Error) as error:  # csv.Error: a cell without end
        raise InputError(
            f"{path}, line {lines.line_num}",
            found=",".join(cells)[:60],
            expected=f"{len(columns)} numbers, the step a whole one",
            fix="Remove the line.",
        ) from error
    return rows
