"""Masks as pictures: each rule is the one of the decoder, and the picture shows what the mask says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.masks import make_att_2d_masks, prefix_mask
from motionlab.plots.attention_masks import (
    RULES,
    Tokens,
    caption_tokens,
    compute_mask,
    mask_figure,
    masks_figure,
)
from motionlab.plots.curves import figure_to_png


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 4))
def test_prefix_equals_blocks_and_the_decoder(text: int, motion: int, padding: int) -> None:
    for place in ("after the text", "at the end"):
        tokens = caption_tokens(text, motion, padding, place)
        prefix, blocks = (compute_mask(rule, tokens) for rule in ("prefix", "make_att_2d_masks"))
        assert torch.equal(prefix.allow, blocks.allow) and prefix.reads_padding == 0
    real = text + motion
    plain = prefix_mask(torch.ones(1, text), real + padding)[0, 0]
    assert torch.equal(prefix.allow[:real, :real], plain[:real, :real])


def test_padding_in_a_gap_is_read_unless_its_flags_are_used() -> None:
    tokens = caption_tokens(3, 4, 2, "after the text")
    assert [compute_mask(rule, tokens).reads_padding for rule in RULES] == [0, 0, 0, 0]
    assert compute_mask("prefix", tokens, hide=False).reads_padding == 2 * (3 + 4)
    assert compute_mask("causal", tokens, hide=False).reads_padding == 2 * 4
    # At the end, the order of time hides it from all that is real.
    assert compute_mask("prefix", caption_tokens(3, 4, 2, "at the end"), hide=False).reads_padding == 0


def test_raw_flags_are_wrong_where_a_block_has_several_tokens() -> None:
    tokens = Tokens(
        ("i1", "i2", "t1", "t2", "p1", "st", "a1", "a2"), (1, 1, 1, 1, 0, 1, 1, 1), (0, 0, 0, 0, 0, 1, 1, 0)
    )
    right, raw = compute_mask("make_att_2d_masks", tokens, query=5), compute_mask("raw flags", tokens, query=5)
    assert right.seen == ["i1", "i2", "t1", "t2", "st"]
    assert raw.seen == ["i1", "i2", "t1", "t2", "st", "a1", "a2"]  # the state sees the actions
    assert right.blocks == [0, 0, 0, 0, 0, 1, 2, 2] and right.positions == [0, 1, 2, 3, 3, 4, 5, 6]
    expected = make_att_2d_masks(torch.tensor([tokens.pad]), torch.tensor([tokens.att]))[0]
    assert torch.equal(right.allow, expected)


def test_bad_input() -> None:
    tokens = caption_tokens(2, 2)
    with pytest.raises(InputError, match="expected causal, prefix"):
        compute_mask("diagonal", tokens)
    with pytest.raises(InputError, match="expected 1 to 4"):
        compute_mask("causal", tokens, query=4)
    with pytest.raises(InputError, match="1 to 20"):
        caption_tokens(0, 0)
    with pytest.raises(InputError, match="after the text or at the end"):
        caption_tokens(1, 1, 1, "somewhere")


def test_the_figure_paints_every_pair() -> None:
    view = compute_mask("prefix", caption_tokens(2, 3, 1, "after the text"), hide=False, query=3)
    (axes,) = mask_figure(view).axes
    squares = axes.patches[:-1]  # the last one is the frame of the query
    painted = torch.tensor([square.get_facecolor()[:3] != (1.0, 1.0, 1.0) for square in squares]).view(6, 6)
    assert torch.equal(painted, view.allow)
    red = sum(square.get_facecolor()[0] > 0.8 and square.get_facecolor()[1] < 0.2 for square in squares)
    assert red == view.reads_padding == 5
    assert axes.patches[-1].get_y() == 3 and axes.get_title() == "prefix: padding is read"
    both = masks_figure([view, compute_mask("causal", view.tokens)])
    assert len(both.axes) == 2 and figure_to_png(both).startswith(b"\x89PNG")
