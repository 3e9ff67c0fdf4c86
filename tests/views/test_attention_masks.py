"""A rule applied to tokens is the mask of the decoder, or the common mistake."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.masks import make_att_2d_masks, prefix_mask
from motionlab.plots.attention_masks import Tokens
from motionlab.views.attention_masks import RULES, caption_tokens, compute_mask


@settings(deadline=None)
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
