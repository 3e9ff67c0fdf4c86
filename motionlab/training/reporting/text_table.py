"""Rows of cells as text in columns, for a terminal, and a number as a cell."""

from __future__ import annotations

from collections.abc import Sequence

from motionlab.errors import printable
from motionlab.language import width_of


def columns(rows: Sequence[Sequence[object]]) -> str:
    """The rows under each other; what a terminal would act on is escaped.

    >>> print(columns([("split", "score"), ("seen_pairs", 0.5)]))
    split       score
    seen_pairs  0.5
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(width_of(row[at]) for row in cells) for at in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def as_cell(value: float | None) -> str:
    """Four digits of a number; nothing where there is none.

    >>> as_cell(0.123456), as_cell(None)
    ('0.1235', '')
    """
    return "" if value is None else f"{value:.4g}"
