"""Shares of a step's gradient, and batches that are cut."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.training.micro_batches import read_group, rows_of, split_rows, tensors_of


@dataclass(frozen=True)
class Batch:
    x: torch.Tensor
    seeds: torch.Tensor = field(default_factory=lambda: torch.tensor([7, 8, 9]))
    step_seed: int = 5

    def __len__(self) -> int:
        return len(self.x)


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


@given(rows=st.integers(1, 40), pieces=st.integers(1, 50))
def test_cutting_loses_and_repeats_nothing(rows: int, pieces: int) -> None:
    parts = split_rows(torch.arange(rows), pieces)
    assert torch.equal(torch.cat(parts), torch.arange(rows))
    sizes = [len(part) for part in parts]
    assert len(parts) == min(rows, pieces) and max(sizes) - min(sizes) <= 1


def test_kinds_of_batches() -> None:
    x, y = torch.arange(6).view(3, 2), torch.arange(3)
    first = split_rows({"x": x, "more": [y, "name"]}, 2)[0]
    assert torch.equal(first["x"], x[:2]) and torch.equal(first["more"][0], y[:2]) and first["more"][1] == "name"
    second = split_rows(Pair(x, y), 2)[1]
    assert isinstance(second, Pair) and second.y.tolist() == [2]
    parts = split_rows(Batch(x), 3)
    assert [len(part) for part in parts] == [1, 1, 1]
    assert [part.seeds.tolist() for part in parts] == [[7], [8], [9]], "a row keeps its seed"
    assert {part.step_seed for part in parts} == {5}


@pytest.mark.parametrize("batch", [[], torch.tensor(1.0), {"a": torch.zeros(2), "b": torch.zeros(3)}, "text"])
def test_what_has_no_rows_says_so(batch: Any) -> None:
    with pytest.raises(InputError, match="batch: found .*rows.*Lower batch_size"):
        rows_of(batch)


def test_names_say_where_a_tensor_stands() -> None:
    assert tensors_of(Batch(torch.zeros(1)), "batch.3").keys() == {"batch.3.x", "batch.3.seeds"}
    assert tensors_of(Pair(torch.zeros(1), torch.zeros(1))).keys() == {"batch.0", "batch.1"}


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_shares_add_up_to_one(pieces: int) -> None:
    sizes = [4, 1, 3]
    group = read_group(lambda i: torch.zeros(sizes[i % 3]), len, 3, 3, pieces)
    shares = [share for _, share, _ in group]
    assert group.items == 8 and sum(shares) == pytest.approx(1)
    assert [last for _, _, last in group] == [False] * (len(shares) - 1) + [True]


def test_pieces_without_a_label_are_left_out() -> None:
    group = read_group(lambda i: torch.tensor([1.0, 0, 0, 2]), lambda batch: int((batch > 0).sum()), 0, 1, 4)
    assert group.counts == [1, 1] and group.items == 2


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="micro-batches from 6: found 0 items"):
        read_group(lambda i: torch.zeros(0), len, 6, 2)
