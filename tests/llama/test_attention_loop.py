"""The kernel, and the module around it, equal attention written as loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from motionlab.llama.attention_loop import attention_loop
from motionlab.llama.masks import causal_mask, make_att_2d_masks, padding_mask, prefix_mask
from motionlab.llama.model import Attention
from motionlab.llama.rope import apply_rope, rope_table


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", ["causal", "padding", "prefix", "blocks"])
def test_the_fast_kernel_equals_the_loop(kind: str, groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.tensor([[True] * 6 + [False] * 2, [True] * 8])
    mask = {
        "causal": causal_mask(8).expand(2, 1, 8, 8),
        "padding": padding_mask(real),
        "prefix": prefix_mask(real[:, 3:7], 8),
        "blocks": make_att_2d_masks(real, torch.tensor([0, 0, 1, 0, 0, 1, 1, 0]))[:, None],
    }[kind]
    length = mask.shape[2]
    query = torch.randn(2, 4, length, 6, generator=generator)
    key, value = torch.randn(2, 2, groups, 8, 6, generator=generator)
    fast = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=groups < 4)
    torch.testing.assert_close(fast, attention_loop(query, key, value, mask), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_module_equals_the_loop(groups: int) -> None:
    attention, x, turn = Attention(dim=24, n_head=4, n_kv_heads=groups), torch.randn(2, 5, 24), rope_table(5, 6)
    query, key, value = attention.c_attn(x).unflatten(-1, (-1, 6)).split((4, groups, groups), dim=2)
    query, key, value = (part.transpose(1, 2) for part in (apply_rope(query, turn), apply_rope(key, turn), value))
    seen = attention_loop(query, key, value, causal_mask(5).expand(2, 1, 5, 5))  # [B, H, S, hd]
    expected = attention.c_proj(seen.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x, turn, "causal"), expected)
