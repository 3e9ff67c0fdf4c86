"""Attention: grouped queries equal ordinary attention with repeated heads; wrong head counts are refused."""

from __future__ import annotations

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.attention import Attention
from motionlab.llama.masks import prefix_mask
from motionlab.llama.rope import rope_table

MASK = prefix_mask(torch.tensor([[True, True, False], [True, True, True]]), 7)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gqa_equals_mha_with_repeated_heads(groups: int) -> None:
    dim, heads, width = 24, 4, 6
    gqa, mha = Attention(dim, heads, groups), Attention(dim, heads, heads)
    query, key, value = gqa.c_attn.weight.data.split((dim, groups * width, groups * width))

    def repeat(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (groups, width)).repeat_interleave(heads // groups, dim=0).flatten(0, 1)

    mha.c_attn.weight.data = torch.cat([query, repeat(key), repeat(value)])
    mha.c_proj.weight.data = gqa.c_proj.weight.data
    x = torch.randn(2, 7, dim)
    turn = rope_table(7, width)
    torch.testing.assert_close(gqa(x, turn, MASK), mha(x, turn, MASK))


def test_equals_softmax_written_out() -> None:
    attention = Attention(dim=8, n_head=1, n_kv_heads=1)
    x = torch.randn(2, 7, 8)
    query, key, value = attention.c_attn(x).split(8, dim=-1)
    turn = rope_table(7, 8)

    def rotate(y: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(torch.view_as_complex(y.unflatten(-1, (4, 2)).contiguous()) * turn).flatten(-2)

    scores = rotate(query) @ rotate(key).mT / 8**0.5
    expected = attention.c_proj(scores.masked_fill(~MASK[:, 0], float("-inf")).softmax(-1) @ value)
    torch.testing.assert_close(attention(x, turn, MASK), expected)


@pytest.mark.parametrize(("heads", "groups"), [(5, 5), (4, 3), (12, 12), (4, 8)])
def test_wrong_head_counts(heads: int, groups: int) -> None:
    with pytest.raises(InputError, match="n_head|n_kv_heads"):
        Attention(dim=12, n_head=heads, n_kv_heads=groups)
