"""Features, captions that cannot be read, and batches sorted by length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.text.encoder import TextFeatures, check_captions, check_token_counts, encode_blocks


def test_rows_gathers_and_narrows() -> None:
    parts = [torch.randn(length, 4) for length in (2, 5, 1)]
    features = TextFeatures.from_rows(parts)
    assert features.states.shape == (3, 5, 4) and features.lengths.tolist() == [2, 5, 1] and features.dim == 4
    assert (features.states[~features.mask] == 0).all()
    some = features.rows([2, 0, 2])
    assert some.states.shape == (3, 2, 4)
    for got, index in zip(range(3), (2, 0, 2), strict=True):
        assert torch.equal(some.states[got][some.mask[got]], parts[index])


@pytest.mark.parametrize(
    ("states", "mask"),
    [
        (torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 4), torch.ones(2, 4, dtype=torch.bool)),
        (torch.zeros(2, 3, 4), torch.ones(2, 3)),
    ],
)
def test_wrong_shapes(states: Tensor, mask: Tensor) -> None:
    with pytest.raises(InputError, match="text features"):
        TextFeatures(states, mask)


@pytest.mark.parametrize("captions", [[""], ["   \n"], ["a person walks", ""], [], "a person walks"])
def test_captions_that_cannot_be_read(captions: list[str]) -> None:
    with pytest.raises(InputError, match="caption"):
        check_captions(captions)


def test_too_many_tokens_says_both_numbers() -> None:
    check_token_counts(["short", "long"], [3, 9], max_tokens=9)
    with pytest.raises(InputError, match="caption 'long.*: found 10 tokens, expected at most 9"):
        check_token_counts(["short", "long"], [3, 10], max_tokens=9)


def test_blocks_have_one_shape_for_each_length_and_no_padding() -> None:
    ids = [[10 * length + i for i in range(length)] for length in (7, 1, 5, 1, 6, 2, 9)]
    shapes: list[tuple[int, ...]] = []

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        shapes.append(tuple(ids.shape))
        assert mask.all() and mask.shape == ids.shape
        return ids[..., None].float()

    states = encode_blocks(ids, run, tokens_at_once=6)
    assert [rows.flatten().tolist() for rows in states] == [[float(value) for value in row] for row in ids]
    assert shapes == [(6, 1), (3, 2), (2, 5), (1, 6), (1, 7), (1, 9)]
    shapes.clear()
    encode_blocks([[1, 2]] * 7, run, tokens_at_once=6)
    assert shapes == [(3, 2)] * 3, "a block that is not full is filled up"
