"""The fast reader of rows is the plain one, bit for bit, whatever the rows hold."""

from __future__ import annotations

import random

import pytest
import torch

from motionlab.errors import InputError
from motionlab.motion.formats.bvh_rows import read_rows, read_rows_plain
from motionlab.motion.formats.bvh_tree import BvhText

WORDS = ("0", "-0.5", "12.25", "1e-3", "3.14159", ".5", "-7", "x", "1e12", "9" * 17)


def outcome(read, content: str, frames: int, columns: int) -> tuple[list[list[float]], list[str]] | str:
    try:
        table, notes = read(BvhText(content, "walk.bvh"), frames, columns)
        return table.tolist(), notes
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_agree(seed: int) -> None:
    rng = random.Random(seed)
    kinds = set()
    for _ in range(150):
        columns, frames = rng.randrange(1, 5), rng.randrange(1, 6)
        words = WORDS if rng.random() < 0.2 else WORDS[:7]
        content = ""
        for _ in range(rng.choice((frames, frames, frames - 1, frames + 1))):
            width = columns if rng.random() < 0.9 else rng.randrange(3 * columns)
            row = [rng.choice(words) for _ in range(width)]
            cut = rng.randrange(len(row) + 1) if rng.random() < 0.1 else 0
            content += " ".join(row[:cut]) + rng.choice("\n ") * (cut > 0) + " ".join(row[cut:])
            content += rng.choice(("\n", "\n", "\n", "\r\n", "\n\n", " \t\n"))
        content = content.rstrip() if rng.random() < 0.2 else content
        fast = outcome(read_rows, content, frames, columns)
        assert fast == outcome(read_rows_plain, content, frames, columns), repr(content)
        kinds.add("refused" if isinstance(fast, str) else "notes" if fast[1] else "fine")
    assert kinds == {"refused", "notes", "fine"}


def test_a_header_that_promises_much_allocates_nothing() -> None:
    table, notes = read_rows(BvhText("1 2\n3 4\n", "walk.bvh"), 10**15, 2)
    assert torch.equal(table, torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)) and len(notes) == 1
