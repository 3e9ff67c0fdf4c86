"""The second part of a BVH file: a row of numbers for each frame, in the order of the channels.

`read_rows` parses the whole block at once. `read_rows_plain` goes line by line: it is the test of the fast way, and
runs where that meets a word that is no number, so that an error can name the line.

A row may be wrapped over several lines, as long as it ends where a line ends. Both ways keep the whole rows of a file
that was cut off, and ignore what follows the rows that the header announced.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from motionlab.files.numbers import parse_numbers, word_starts
from motionlab.motion.formats.bvh_tree import LARGEST, BvhText


def read_rows(text: BvhText, frames: int, columns: int) -> tuple[Tensor, list[str]]:
    """`[T, columns]` float64 and notes. Reads from the line after the header on.

    Raises:
        InputError: a line whose numbers do not fill rows, or with a word that is no number; no whole row at all.
    """
    try:
        block = text.text[text.position :].encode("ascii")
        values = parse_numbers(block)  # [N]
    except ValueError:
        return read_rows_plain(text, frames, columns)
    wanted = frames * columns
    breaks = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
    ends = np.searchsorted(word_starts(block), breaks)  # numbers up to the end of each line
    if len(ends) == 0 or ends[-1] < len(values):
        ends = np.append(ends, len(values))
    begins = np.append(0, ends[:-1])
    crossing = (begins // columns != ends // columns) & (ends % columns != 0) & (begins < wanted)
    read = values[: ends[np.flatnonzero(begins < wanted)[-1]]]  # to the end of the line
    if bool(crossing.any()) or not bool((np.abs(read) <= LARGEST).all()):
        return read_rows_plain(text, frames, columns)
    used = values[:wanted]
    extra = int(np.count_nonzero((begins >= wanted) & (ends > begins)))
    rows, notes = _counted(text, len(used) // columns, len(used) % columns, frames, extra)
    return torch.from_numpy(used[: rows * columns].reshape(rows, columns)), notes


def read_rows_plain(text: BvhText, frames: int, columns: int) -> tuple[Tensor, list[str]]:
    """`read_rows`, one line after the other."""
    rows: list[list[float]] = []
    row: list[float] = []  # as much of the next one as was read
    began = (0, 0)  # the line on which that began, and the numbers on it
    extra = 0
    for number, line in enumerate(text.text[text.position :].split("\n"), start=text.line + 1):
        words = line.split()
        if not words:
            continue
        if len(rows) >= frames:
            extra += 1
            continue
        text.line = number
        if not row:
            began = (number, len(words))
        values = row + [text.number(word) for word in words]
        whole = len(values) // columns
        if whole and len(values) % columns:
            text.line = began[0]
            text.fail(f"{began[1]} numbers", f"{columns}, one for each channel")
        rows += [values[i * columns : (i + 1) * columns] for i in range(whole)]
        row = values[whole * columns :]
    kept, notes = _counted(text, min(len(rows), frames), len(row), frames, extra)
    return torch.tensor(rows[:kept], dtype=torch.float64), notes


def _counted(text: BvhText, whole: int, part: int, frames: int, extra: int) -> tuple[int, list[str]]:
    """How many of the whole rows are kept, and what is said about the others.

    Args:
        part: numbers of a row that was begun and not finished.
        extra: lines after the last row that the header announced.
    """
    if extra:
        return whole, [f"{extra} rows after the {frames} frames of the header were ignored."]
    if whole == frames:
        return whole, []
    # The last number of a file that was cut off may have lost digits: then its row is not whole either.
    cut = not part and not text.text.endswith("\n")
    kept = whole - cut
    if kept < 1:
        text.line = len(text.text.splitlines())
        text.fail("the end of the file before one whole row of numbers", f"{frames} frames, as its header says")
    dropped = "; the row at its end is not whole and was left out" if part or cut else ""
    return kept, [f"The file ends after {kept} of the {frames} frames that its header announces{dropped}."]
