"""The fast way to the largest number of a row is torch's own, also for ties, rows with gaps and NaN."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.largest import BLOCK, FEW, largest

LONG = 8 * BLOCK  # the shortest row that is cut into blocks


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(FEW // LONG, FEW // LONG + 3),
    width=st.integers(LONG - 2, LONG + BLOCK + 2),
    values=st.integers(2, 999),
)
def test_it_is_what_torch_finds(rows: int, width: int, values: int) -> None:
    """Few different values: then most rows have their largest several times."""
    numbers = torch.randint(values, (rows, width + 3), generator=torch.Generator().manual_seed(width)).float()
    numbers[:, ::5] = float("-inf")
    view = numbers[:, :width]  # with something between the rows
    value, place = largest(view)
    # `argmax` promises the first place, `max` does not.
    assert torch.equal(value, view.amax(1)) and torch.equal(place, view.argmax(1))


@pytest.mark.parametrize("place", [0, BLOCK, LONG - 1, LONG, LONG + 6])
def test_every_block_is_looked_at(place: int) -> None:
    numbers = torch.zeros(FEW // LONG, LONG + 7)
    numbers[:, place] = 1.0
    value, found = largest(numbers)
    assert (value == 1.0).all() and (found == place).all()


def test_a_row_of_nothing_and_one_with_nan_have_a_place_inside() -> None:
    numbers = torch.full((FEW // LONG, LONG), float("-inf"))
    numbers[1, 70] = float("nan")
    value, place = largest(numbers)
    assert place[0] == 0 and place[1] == 70
    assert value[0] == float("-inf") and value[1].isnan()


@pytest.mark.parametrize("shape", [(3, 7), (1, 1), (2, LONG), (FEW, 2)])
def test_little_is_left_to_torch(shape: tuple[int, int]) -> None:
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    value, place = largest(numbers)
    assert torch.equal(value, numbers.amax(1)) and torch.equal(place, numbers.argmax(1))
