"""Causal self-attention with grouped queries (GQA), rotary positions and an optional cache.

`n_kv_heads = n_head` is ordinary multi-head attention, `n_kv_heads = 1` is multi-query attention; between them, groups
of `n_head / n_kv_heads` query heads share one key and one value head.  Ainslie et al., arXiv:2305.13245.

`attention_loop` is the definition, one query at a time. Tests compare the fast kernel with it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.llama.cache import KVCache
from motionlab.llama.masks import Mask
from motionlab.llama.norm import RMSNorm
from motionlab.llama.rope import apply_rope


class Attention(nn.Module):
    """`[B, S, dim] -> [B, S, dim]`. Notation: H query heads, G key-value heads, hd = dim / H.

    Args:
        qk_norm: normalise each query and key head before it is turned. Scores then stay bounded, however large the
            weights grow, which keeps long trainings stable.  Henry et al., arXiv:2010.04245; here as in Qwen 3.
        eps: of these norms.

    Raises:
        InputError: the heads do not divide the width, or head_dim is odd (RoPE turns pairs).
    """

    def __init__(self, dim: int, n_head: int, n_kv_heads: int, *, qk_norm: bool = False, eps: float = 1e-5) -> None:
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
        self.q_norm = RMSNorm(self.head_dim, eps) if qk_norm else None
        self.k_norm = RMSNorm(self.head_dim, eps) if qk_norm else None

    def forward(
        self,
        x: Tensor,
        turn: Tensor,
        mask: Mask,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        """See `MotionLlama` for `turn` and `mask`; `layer` is the place of this layer in `cache`."""
        heads, groups = self.n_head, self.n_kv_heads
        qkv = self.c_attn(x).unflatten(-1, (heads + 2 * groups, self.head_dim))  # [B, S, H+2G, hd]
        query_key, value = qkv.split((heads + groups, groups), dim=2)
        if self.q_norm is not None and self.k_norm is not None:
            query, key = query_key.split((heads, groups), dim=2)
            query_key = torch.cat([self.q_norm(query), self.k_norm(key)], dim=2)
        # Queries and keys are turned in one call; values carry no position.
        query, key = apply_rope(query_key, turn).split((heads, groups), dim=2)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))  # [B, H, S, hd], 2 x [B, G, S, hd]
        if cache is not None:
            key, value = cache.update(layer, key, value)  # [B, G, used, hd]
        causal, mask = (True, None) if isinstance(mask, str) else (False, mask)
        y = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=causal, enable_gqa=groups < heads
        )
        output: Tensor = self.c_proj(y.transpose(1, 2).flatten(2))  # [B, H, S, hd] -> [B, S, dim]
        return output


def attention_loop(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Masked attention as its definition says, with Python loops: slow, and easy to trust.

    Args:
        query: `[B, H, S, hd]`.
        key, value: `[B, G, T, hd]`; query head `h` reads key-value head `h // (H / G)`.
        mask: bool, `[B, 1, S, T]` or what broadcasts to it: True where a query may look.

    Returns:
        `[B, H, S, hd]`; 0 for a query that may look nowhere.

    >>> one = torch.ones(1, 1, 1, 2)
    >>> attention_loop(one, torch.zeros(1, 1, 3, 2), torch.tensor([[[[1.0], [3.0], [9.0]]]]).expand(1, 1, 3, 2),
    ...     torch.tensor([True, True, False]))  # two equal scores: the mean of 1 and 3
    tensor([[[[2., 2.]]]])
    """
    batch, heads, length, head_dim = query.shape
    shared = heads // key.shape[1]
    mask = mask.expand(batch, 1, length, key.shape[2])
    output = torch.zeros_like(query)
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                seen = mask[b, 0, i].nonzero()[:, 0]  # the columns that this query looks at
                if len(seen):
                    scores = key[b, h // shared, seen] @ query[b, h, i] / head_dim**0.5  # [seen]
                    output[b, h, i] = scores.softmax(0) @ value[b, h // shared, seen]  # [hd]
    return output
