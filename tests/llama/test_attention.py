"""Attention: grouped queries equal ordinary attention with repeated heads; wrong head counts are refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.errors import InputError
from motionlab.llama.attention import Attention
from motionlab.llama.masks import prefix_mask
from motionlab.llama.rope import apply_rope, rope_table

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


def test_qk_norm_bounds_the_scores() -> None:
    """A query and a key of length sqrt(hd) each: no score can exceed sqrt(hd), whatever the weights."""
    plain, normed = Attention(16, 2, 1), Attention(16, 2, 1, qk_norm=True)
    normed.load_state_dict(plain.state_dict(), strict=False)
    x, turn = torch.randn(2, 7, 16), rope_table(7, 8)
    before = normed(x, turn, MASK)
    assert not torch.allclose(before, plain(x, turn, MASK))
    with torch.no_grad():
        normed.c_attn.weight[: 16 + 8] *= 1000  # queries and keys
        plain.c_attn.weight[: 16 + 8] *= 1000
    torch.testing.assert_close(normed(x, turn, MASK), before, rtol=1e-3, atol=1e-3)
    qkv = normed.c_attn(x).unflatten(-1, (4, 8))
    query, key = normed.q_norm(qkv[:, :, :2]), normed.k_norm(qkv[:, :, 2:3])
    torch.testing.assert_close(query.norm(dim=-1), torch.full((2, 7, 2), 8**0.5), rtol=1e-3, atol=1e-3)
    assert (torch.einsum("bihd,bjgd->bhij", query, key) / 8**0.5).abs().max() <= 8**0.5 + 1e-3


def test_qk_norm_comes_before_the_turn() -> None:
    attention = Attention(8, 1, 1, qk_norm=True)
    attention.q_norm.scale.data = torch.rand(8)
    attention.k_norm.scale.data = torch.rand(8)
    x, turn = torch.randn(2, 7, 8), rope_table(7, 8)
    query, key, value = attention.c_attn(x)[:, :, None].split(8, dim=-1)  # [B, S, 1, 8]
    query, key = apply_rope(attention.q_norm(query), turn), apply_rope(attention.k_norm(key), turn)
    parts = (part.transpose(1, 2) for part in (query, key, value))
    expected = attention.c_proj(F.scaled_dot_product_attention(*parts, attn_mask=MASK)[:, 0])
    torch.testing.assert_close(attention(x, turn, MASK), expected)


@pytest.mark.parametrize(("heads", "groups"), [(5, 5), (4, 3), (12, 12), (4, 8)])
def test_wrong_head_counts(heads: int, groups: int) -> None:
    with pytest.raises(InputError, match="n_head|n_kv_heads"):
        Attention(dim=12, n_head=heads, n_kv_heads=groups)
