"""The message about points of a grid that failed: which point, why, and which key of the grid to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from motionlab.errors import InputError, printable

Point = Mapping[str, Any]
Failed = list[tuple[Point, InputError]]


def point_name(point: Point) -> str:
    """The point in the words of a grid.

    >>> point_name({"quantizer": "fsq", "seed": 0, "lr": 1.0})
    'fsq seed=0 lr=1.0'
    """
    return " ".join(
        printable(value if key in ("quantizer", "strategy") else f"{key}={value}") for key, value in point.items()
    )


def grid_error(point: Point, error: InputError) -> InputError:
    """A value that no point may have, named as in the grid."""
    name = error.where.removeprefix("ablation: ")  # "tokenizer.width"
    key = name.rpartition(".")[2]
    value = f"{key}={point[key]}" if key in point else point_name(point)
    fix = f"Change {value} in the grid. {error.fix.removeprefix('Change this key.')}".strip()
    return InputError(f"grid: {value} ({name})", found=error.found, expected=error.expected, fix=fix)


def refuse_failed(failed: Failed, points: Sequence[Point], usual: Callable[[str], Any]) -> None:
    """Raise an InputError that names the first point that failed, and the keys that seem to be the cause.

    Args:
        points: all points of the grid; those that did not fail are trained.
        usual: key -> its value at a point that does not name it.
    """
    if not failed:
        return
    point, error = failed[0]
    where = f"{len(failed)} of {len(points)} points failed; {point_name(point)}: {error.where}"
    guilty = _guilty(failed, points, usual) or [f"{key}={value}" for key, value in point.items() if value != usual(key)]
    if guilty:
        fix = f"Change {' or '.join(guilty)} in the grid: {error.fix}"
    else:
        fix = f"Every key has its usual value: {error.fix}"
    raise InputError(where, found=error.found, expected=error.expected, fix=f"{fix} Finished points are kept.")


def _guilty(failed: Failed, points: Sequence[Point], usual: Callable[[str], Any]) -> list[str]:
    """Settings of the first failed point that no trained point has."""
    lost = [dict(point) for point, _ in failed]
    trained = [point for point in points if dict(point) not in lost]
    if not trained:
        return []
    return [
        f"{key}={value}"
        for key, value in lost[0].items()
        if all(other.get(key, usual(key)) != value for other in trained)
    ]
