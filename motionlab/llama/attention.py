"""Causal self-attention with grouped queries (GQA), rotary positions and an optional cache.

`n_kv_heads = n_head` is ordinary multi-head attention, `n_kv_heads = 1` is multi-query attention; between them, groups
of `n_head / n_kv_heads` query heads share one key and one value head.  Ainslie et al., arXiv:2305.13245.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.cache import KVCache
from motionlab.llama.rope import apply_rope


class Attention(nn.Module):
    """`[B, S, dim] -> [B, S, dim]`. Notation: H query heads, G key-value heads, hd = dim / H.

    Raises:
        InputError: the heads do not divide the width, or head_dim is odd (RoPE turns pairs).
    """

    def __init__(self, dim: int, n_head: int, n_kv_heads: int) -> None:
        super().__init__()
        if dim % n_head or (dim // n_head) % 2:
            raise InputError(
                "n_head", found=n_head, expected=f"a divisor of dim={dim} with an even quotient", fix="Change n_head."
            )
        if n_kv_heads < 1 or n_head % n_kv_heads:
            raise InputError(
                "n_kv_heads", found=n_kv_heads, expected=f"a divisor of n_head={n_head}", fix="Change n_kv_heads."
            )
        self.n_head, self.n_kv_heads, self.head_dim = n_head, n_kv_heads, dim // n_head
        # One product for queries, keys and values: rows [0, H*hd) are queries, then G*hd keys, then G*hd values.
        self.c_attn = nn.Linear(dim, (n_head + 2 * n_kv_heads) * self.head_dim, bias=False)
        self.c_proj = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        x: Tensor,
        turn: Tensor,
        mask: Tensor,
        cache: KVCache | None = None,
        layer: int = 0,
        positions: Tensor | None = None,
    ) -> Tensor:
        """See `MotionLlama` for `turn` and `mask`, and `KVCache.update` for `layer` and `positions`."""
        heads, groups = self.n_head, self.n_kv_heads
        qkv = self.c_attn(x).unflatten(-1, (heads + 2 * groups, self.head_dim))  # [B, S, H+2G, hd]
        # Queries and keys are turned in one call; values carry no position.
        query_key, value = qkv.split((heads + groups, groups), dim=2)
        query, key = apply_rope(query_key, turn).split((heads, groups), dim=2)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [B, H, S, hd], 2 x [B, G, S, hd]
        if cache is not None:
            key, value = cache.update(layer, key, value, positions)  # [B, G, used, hd]
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=groups < heads)
        output: Tensor = self.c_proj(y.transpose(1, 2).flatten(2))  # [B, H, S, hd] -> [B, S, dim]
        return output
