"""The masks against their one-line definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.masks import (
    causal_mask,
    make_att_2d_masks,
    padding_mask,
    position_ids,
    prefix_mask,
    prefix_rule,
    real_positions,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 6))
def test_prefix_mask_is_its_definition(widths: list[int], motion: int) -> None:
    text_mask = torch.arange(5) < torch.tensor(widths)[:, None]
    length = 5 + motion
    mask = prefix_mask(text_mask, length)
    assert mask.shape == (len(widths), 1, length, length) and mask.dtype == torch.bool
    for row, width in enumerate(widths):
        for i in range(length):
            for j in range(length):
                assert mask[row, 0, i, j] == (j <= i or (i < width and j < width))


def test_one_slot_of_text_is_the_causal_rule_by_name() -> None:
    for used in (True, False):
        text_mask = torch.tensor([[used], [True]])
        assert prefix_rule(text_mask, 6) == "causal"
        assert torch.equal(prefix_mask(text_mask, 6), causal_mask(6).expand(2, 1, 6, 6))
    text_mask = torch.tensor([[True, False], [True, True]])
    rule = prefix_rule(text_mask, 6)
    assert isinstance(rule, torch.Tensor) and torch.equal(rule, prefix_mask(text_mask, 6))


def rows(*lines: str) -> torch.Tensor:
    return torch.tensor([[value == "1" for value in line.split()] for line in lines])


# Two image tokens, two of text, one of padding, a state, two actions: the worked example of the pi0 family.
PAD = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1]])


def test_two_actions_share_a_block() -> None:
    mask = make_att_2d_masks(PAD, torch.tensor([[0, 0, 0, 0, 0, 1, 1, 0]]))
    text = "1 1 1 1 0 0 0 0"
    action = "1 1 1 1 0 1 1 1"
    assert torch.equal(mask[0], rows(text, text, text, text, "0 0 0 0 0 0 0 0", "1 1 1 1 0 1 0 0", action, action))


def test_actions_one_after_the_other() -> None:
    mask = make_att_2d_masks(PAD, torch.tensor([0, 0, 0, 0, 0, 1, 1, 1]))
    assert torch.equal(mask[0, 5:], rows("1 1 1 1 0 1 0 0", "1 1 1 1 0 1 1 0", "1 1 1 1 0 1 1 1"))


def test_without_the_cumulative_sum_the_state_would_see_the_actions() -> None:
    att = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 0]])
    naive = (att[:, None, :] <= att[:, :, None]) & PAD.bool()[:, None] & PAD.bool()[:, :, None]
    assert naive[0, 5].int().tolist() == [1, 1, 1, 1, 0, 1, 1, 1]
    assert make_att_2d_masks(PAD, att)[0, 5].int().tolist() == [1, 1, 1, 1, 0, 1, 0, 0]


def test_special_cases_of_the_rule() -> None:
    real, length = torch.ones(2, 6), 6
    full = make_att_2d_masks(real, torch.zeros(6))
    assert full.dtype == torch.bool and full.all()
    assert torch.equal(make_att_2d_masks(real, torch.ones(6, dtype=torch.bool))[0], causal_mask(length))
    text_mask = torch.tensor([[True, True, False], [True, True, True]])
    starts = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]])
    assert torch.equal(make_att_2d_masks(real, starts)[:, None], prefix_mask(text_mask, length))
    assert torch.equal(make_att_2d_masks(PAD, torch.zeros(8))[:, None], padding_mask(PAD))


def test_the_first_number_does_not_matter() -> None:
    att = torch.tensor([1, 0, 1, 1, 0, 0, 1, 0])
    other = att.clone()
    other[0] = 0
    assert torch.equal(make_att_2d_masks(PAD, att), make_att_2d_masks(PAD, other))


@pytest.mark.parametrize("att", [torch.zeros(7), torch.zeros(2, 8), torch.zeros(1)])
def test_one_number_a_token(att: torch.Tensor) -> None:
    with pytest.raises(InputError, match="att_masks"):
        make_att_2d_masks(PAD, att)


def test_positions_of_real_tokens_count_up() -> None:
    assert position_ids(PAD).tolist() == [[0, 1, 2, 3, 3, 4, 5, 6]]


def test_text_slots_are_real_and_the_tail_is_not() -> None:
    tokens = torch.tensor([[21, 21, 5, 20, 21], [21, 5, 20, 21, 21]])
    text_mask = torch.tensor([[True, True], [True, False]])
    assert real_positions(tokens, text_mask, 21).int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]
