"""Read places of joints from a CSV file, comma, semicolon or tab, with the usual kinds of header.

    time,pelvis_x,pelvis_y,pelvis_z,left_hip_x ...      three columns a joint: also pelvis.X, pelvisX, x_pelvis
    ,pelvis,,,left_hip,,  /  frame,X,Y,Z,X,Y,Z          two rows: names over three columns each
    frame,joint,x,y,z                                   one row a joint and frame

A time column (`time`, `t`, `seconds`, `timestamp`, or `time_ms`) gives the times; a `frame` column with `--fps`
does, too, and frames that are missing from it are gaps. Without both, rows follow each other at `--fps`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motionlab.files.reading import read_text, refusing
from motionlab.motion.formats.joints import KNOWN_RATES, SMPL_COUNTS, joints_source
from motionlab.motion.formats.numpy_motion import need_fps, numbers, times_at, wrong
from motionlab.motion.formats.registry import Format
from motionlab.motion.formats.source import Reading, ReadOptions

TIMES = {"time": 1.0, "t": 1.0, "seconds": 1.0, "time_s": 1.0, "timestamp": 1.0, "time_ms": 1e-3, "timestamp_ms": 1e-3}
FRAMES = ("frame", "frames", "frame#", "index", "")
JOINTS = ("joint", "joint_name", "marker", "landmark", "name")
MOST_COLUMNS = 10_000
_BEGINNING = 1 << 16  # bytes
_AXIS_LAST = re.compile(r"(?P<name>.*?)[\s_.:/-]*(?:pos|position)?[\s_.:/-]*(?P<axis>[xyz])", re.IGNORECASE)
_AXIS_FIRST = re.compile(r"(?P<axis>[xyz])[\s_.:/-]+(?P<name>.+)", re.IGNORECASE)
_EXPECTED = "columns NAME_x, NAME_y, NAME_z for each joint"
_FIX = "Write a header like 'time,pelvis_x,pelvis_y,pelvis_z,left_hip_x,...'."


@dataclass(frozen=True)
class Layout:
    """Where the numbers of a table stand.

    Args:
        rows: of the header.
        joints: name to its three columns; without names `"0"`, `"1"` ...
        named: whether the names are of the file.
        time: column of the time, and seconds of its unit.
        frame: column of the number of the frame.
        joint: column of the joint's name in a table with one row a joint and frame.
    """

    rows: int
    joints: dict[str, tuple[int, int, int]]
    named: bool = True
    time: tuple[int, float] | None = None
    frame: int | None = None
    joint: int | None = None


def find_layout(head: list[list[str]]) -> Layout | None:
    """The layout of a table from its first two rows; None when it has no places of joints."""
    if not head or len(head[0]) > MOST_COLUMNS:
        return None
    first = [cell.strip() for cell in head[0]]
    lower = [cell.lower() for cell in first]
    second = [cell.strip().lower() for cell in head[1]] if len(head) > 1 else []
    if all(_is_number(cell) for cell in first):
        count = len(first) // 3
        known = len(first) % 3 == 0 and count in SMPL_COUNTS
        return Layout(0, {str(j): (3 * j, 3 * j + 1, 3 * j + 2) for j in range(count)}, named=False) if known else None
    if second and {"x", "y", "z"} <= set(second) and not any(_is_number(cell) for cell in second if cell):
        names = [""] * len(second)
        for column in range(len(second)):  # a name stands over the first of its columns, or over all three
            own = first[column] if column < len(first) else ""
            names[column] = own or (names[column - 1] if second[column] in ("y", "z") else "")
        cells = [f"{name} {axis}" if axis in "xyz" and axis else "" for name, axis in zip(names, second, strict=True)]
        rows, others = 2, second
    else:
        rows, cells, others = 1, first, lower
    time = next(((column, TIMES[cell]) for column, cell in enumerate(others) if cell in TIMES), None)
    frame = next(
        (column for column, cell in enumerate(others) if cell in FRAMES and column == 0 or cell == "frame"), None
    )
    if rows == 1 and {"x", "y", "z"} <= set(lower) and any(name in lower for name in JOINTS):
        joint = next(lower.index(name) for name in JOINTS if name in lower)
        place = (lower.index("x"), lower.index("y"), lower.index("z"))
        return Layout(1, {"": place}, time=time, frame=frame, joint=joint)
    joints = _triples(cells)
    return Layout(rows, joints, time=time, frame=frame) if joints else None


def _triples(cells: list[str]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, dict[str, int]] = {}
    for column, cell in enumerate(cells):
        match = _AXIS_LAST.fullmatch(cell)
        if match is None or not match["name"]:
            match = _AXIS_FIRST.fullmatch(cell)
        if match is not None and match["name"].strip():
            found.setdefault(match["name"].strip(), {}).setdefault(match["axis"].lower(), column)
    return {name: (axes["x"], axes["y"], axes["z"]) for name, axes in found.items() if len(axes) == 3}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(text: str) -> Iterator[list[str]]:
    lines = text.splitlines()
    start = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in ";\t" if mark in start), ",")
    for row in csv.reader((line for line in lines if line.strip()), delimiter=mark):
        yield [cell.replace(",", ".") for cell in row] if mark != "," else row


def _recognises(path: Path) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(_BEGINNING)
    lines = beginning.decode("utf-8-sig", errors="replace").splitlines()[:2]
    try:
        return find_layout(list(_rows("\n".join(lines)))) is not None
    except csv.Error:
        return False


def _read(path: Path, options: ReadOptions) -> Iterator[Reading]:
    text = read_text(path, expected="a CSV file", fix=_FIX)
    with refusing(path, expected="a CSV file", fix=_FIX):
        rows = list(_rows(text))
    layout = find_layout(rows[:2])
    if layout is None:
        raise wrong(path, "no places of joints", _EXPECTED, _FIX)
    rows = rows[layout.rows :]
    wanted = [column for triple in layout.joints.values() for column in triple]
    extra = [layout.time[0] if layout.time else None, layout.frame]
    values = _numbers(path, rows, [*wanted, *(column for column in extra if column is not None)], layout.rows)
    places = values[:, : len(wanted)].reshape(len(rows), -1, 3)
    times = values[:, len(wanted)] * layout.time[1] if layout.time else None
    frame = values[:, -1] if layout.frame is not None else None
    names: list[str] | None = list(layout.joints) if layout.named else None
    if layout.joint is not None:
        names, places, first = _unstacked(path, rows, layout.joint, places, times if times is not None else frame)
        times, frame = (None if one is None else one[first] for one in (times, frame))
    if times is None or options.fps is not None:
        fps = need_fps(path, options.fps, KNOWN_RATES)
        times = times_at(len(places), fps) if frame is None else (frame - frame[0]) / fps
    yield joints_source(path, places, times - times[0], names, options)


def _numbers(path: Path, rows: list[list[str]], columns: list[int], header: int) -> Tensor:
    """`[rows, columns]`."""
    table = []
    for number, row in enumerate(rows):
        try:
            table.append([float(row[column]) for column in columns])
        except (ValueError, IndexError):
            short = [column for column in columns if column >= len(row)]
            cell = f"{len(row)} columns" if short else next(row[c] for c in columns if not _is_number(row[c]))
            raise wrong(path, f"{cell[:40]!r} in row {number + header + 1}", "numbers in all rows") from None
    return numbers(path, "the table", torch.tensor(table, dtype=torch.float64).numpy())


def _unstacked(
    path: Path, rows: list[list[str]], column: int, places: Tensor, moment: Tensor | None
) -> tuple[list[str], Tensor, Tensor]:
    """One row a joint and frame to names, `[T, J, 3]`, and the first row of each frame `[T]`."""
    labels = [row[column].strip() for row in rows]
    names = list(dict.fromkeys(labels))
    frames, odd = divmod(len(rows), len(names))
    expected = names * frames
    if odd or labels != expected:
        at = next((n for n, (one, two) in enumerate(zip(labels, expected, strict=False)) if one != two), len(expected))
        raise wrong(
            path, f"joint {labels[at][:40]!r} out of order in row {at + 2}", f"{len(names)} joints in each frame"
        )
    first = torch.arange(frames) * len(names)
    if moment is not None and not bool((moment == moment[first].repeat_interleave(len(names))).all()):
        raise wrong(path, "joints of one frame at several times", "one time for the joints of a frame")
    return names, places[:, 0].reshape(frames, len(names), 3), first


FORMAT = Format(
    name="joints as CSV",
    suffixes=(".csv", ".tsv"),
    carries="places of joints, their names, times",
    loses="rotations (solved from the places)",
    recognises=_recognises,
    read=_read,
)
