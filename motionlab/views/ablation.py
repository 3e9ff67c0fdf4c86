"""The rows of an ablation that a reader chose to see, and their means over the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from motionlab.errors import InputError
from motionlab.jobs.ablations.results import Row, select
from motionlab.plots.ablation import curves

SIZE = 1024  # the size at which every quantizer was trained


class Spread(NamedTuple):
    """One result over the seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class AblationView:
    """The data shown: the chosen rows of the file, the rows trained here, and which numbers to draw.

    Fields:
        x, y: names of what goes across and up.
        spreads: quantizer -> codebook size -> `y` over the seeds.
        seeds: how many different ones the rows have.
    """

    rows: list[Row]
    live: list[Row]
    x: str
    y: str
    spreads: dict[str, dict[int, Spread]]
    seeds: int

    @property
    def means(self) -> dict[tuple[str, int], float]:
        """(quantizer, codebook size) -> mean over the seeds."""
        return {(name, size): spread.mean for name, at in self.spreads.items() for size, spread in at.items()}


def compute_ablation(rows: Sequence[Row], live: Sequence[Row], *, x: str, y: str, kinds: Sequence[str]) -> AblationView:
    """Choose rows and take the mean over their seeds.

    Args:
        rows, live: of the result file, and trained by the reader.
        kinds: the quantizers to show; with "quantizer" as `x` it is all of them, at one codebook size.

    Raises:
        InputError: no quantizer.
    """
    if x == "quantizer":
        kinds = tuple(row["quantizer"] for row in rows)
    if not kinds:
        raise InputError("lines", found="none", expected="one or more", fix="Choose some; Ctrl adds one.")
    rows, live = select(rows, quantizer=kinds), select(live, quantizer=kinds)
    if x == "quantizer":
        rows, live = select(rows, codebook_size=SIZE), select(live, codebook_size=SIZE)
    spreads = {
        name: {size: Spread(sum(values) / len(values), min(values), max(values)) for size, values in at.items()}
        for name, at in curves(rows, "codebook_size", y).items()
    }
    return AblationView(list(rows), list(live), x, y, spreads, len({row["seed"] for row in rows}))
