"""The block rule of attention masks: a worked example, properties, and what makes a kept prefix legal."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.model import Attention
from motionlab.llama.rope import Rotary
from motionlab.vla.masks import TokenGroup, make_att_2d_masks, positions, prefix_length, token_layout

PREFIX = [TokenGroup("image", 2), TokenGroup("text", 3)]
SUFFIX = [TokenGroup("state", 1, opens=True), TokenGroup("action", 2, opens=True)]
PAD = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1]])  # the third text token is padding


def by_loops(pad: torch.Tensor, att: torch.Tensor) -> torch.Tensor:
    """Blocks are numbered by hand, every pair is looked at: O(N^2)."""
    batch, length = pad.shape
    allowed = torch.zeros(batch, length, length, dtype=torch.bool)
    for row in range(batch):
        block, number = [], 0
        for mark in att[row].tolist():
            number += int(mark)
            block.append(number)
        for i in range(length):
            for j in range(length):
                allowed[row, i, j] = block[j] <= block[i] and bool(pad[row, i]) and bool(pad[row, j])
    return allowed


@st.composite
def marks(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    length = draw(st.integers(1, 9))
    rows = st.lists(st.integers(0, 1), min_size=length, max_size=length)
    return torch.tensor([draw(rows), draw(rows)]), torch.tensor([draw(rows), draw(rows)])


def test_worked_example() -> None:
    names, att = token_layout([*PREFIX, *SUFFIX])
    assert names == ["image", "image", "text", "text", "text", "state", "action", "action"]
    assert att.tolist() == [0, 0, 0, 0, 0, 1, 1, 0]
    prefix, state, action = [1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 0, 1, 1, 1]
    expected = [prefix, prefix, prefix, prefix, [0] * 8, state, action, action]
    assert make_att_2d_masks(PAD, att)[0].int().tolist() == expected
    assert positions(PAD).tolist() == [[0, 1, 2, 3, 3, 4, 5, 6]]


def test_causal_chunk() -> None:
    """SmolVLA marks every action: the first one does not see the second."""
    _, att = token_layout([*PREFIX, SUFFIX[0], TokenGroup("action", 2, causal=True)])
    mask = make_att_2d_masks(PAD, att)[0].int()
    assert mask[6].tolist() == [1, 1, 1, 1, 0, 1, 1, 0]
    assert mask[7].tolist() == [1, 1, 1, 1, 0, 1, 1, 1]


@given(marks())
@settings(max_examples=60, deadline=None)
def test_properties(drawn: tuple[torch.Tensor, torch.Tensor]) -> None:
    pad, att = drawn
    real = pad.bool()
    both = real[:, :, None] & real[:, None, :]
    mask = make_att_2d_masks(pad, att)
    assert torch.equal(mask, by_loops(pad, att))
    assert torch.equal(make_att_2d_masks(pad, torch.zeros_like(att)), both)
    assert torch.equal(make_att_2d_masks(pad, torch.ones_like(att)), both.tril())
    flipped = att.clone()
    flipped[:, 0] = 1 - flipped[:, 0]
    assert torch.equal(make_att_2d_masks(pad, flipped), mask)  # the first entry says nothing
    longer = make_att_2d_masks(
        torch.nn.functional.pad(pad, (0, 2), value=1), torch.cat([att, torch.tensor([[1, 0]] * 2)], 1)
    )
    length = pad.shape[1]
    assert torch.equal(longer[:, :length, :length], mask)
    assert not longer[:, :length, length:].any()  # earlier rows see nothing of a new block


def test_the_prefix_does_not_change_with_what_follows() -> None:
    """Bit for bit, whatever the suffix holds: this is what allows keys and values of a prefix to be kept."""
    torch.manual_seed(0)
    attention, rotary = Attention(16, 2, 1), Rotary(16, 8)
    _, att = token_layout([*PREFIX, *SUFFIX])
    cut = prefix_length(att)
    x = torch.randn(1, 8, 16)

    def run(x: torch.Tensor, pad: torch.Tensor, att: torch.Tensor) -> torch.Tensor:
        return attention(x, rotary(positions(pad)), make_att_2d_masks(pad, att)[:, None])

    other = x.clone()
    other[:, cut:] += 100.0
    with torch.no_grad():
        whole, changed = run(x, PAD, att), run(other, PAD, att)
        alone = run(x[:, :cut], PAD[:, :cut], att[:cut])
        everyone = run(x, PAD, torch.zeros_like(att)), run(other, PAD, torch.zeros_like(att))
    assert cut == 5
    assert torch.equal(whole[:, :cut], changed[:, :cut])
    torch.testing.assert_close(whole[:, :4], alone[:, :4], rtol=0, atol=1e-6)
    assert not torch.allclose(whole[:, cut:], changed[:, cut:])
    assert not torch.allclose(everyone[0][:, :4], everyone[1][:, :4])  # without blocks it does change


@pytest.mark.parametrize("groups", [[], [TokenGroup("image", 2), TokenGroup("text", 0)]])
def test_groups_without_tokens_are_refused(groups: list[TokenGroup]) -> None:
    with pytest.raises(InputError, match="token groups"):
        token_layout(groups)


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"pad_masks \[1, 8\] and att_masks \[5\]"):
        make_att_2d_masks(PAD, torch.zeros(5))
