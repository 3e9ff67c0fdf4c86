"""The transformer layer of the backbone and of the fusion: attention with a mask, and an MLP.

LayerNorm before each part, GELU inside, as in the vision transformers that VGGT is made of (Dosovitskiy et al.,
arXiv:2010.11929). `memory` turns self-attention into cross-attention: the keys and values come from there.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.llama.checks import check_heads


class MaskedAttention(nn.Module):
    """`[B, N, dim] -> [B, N, dim]`, looking at itself or at a memory `[B, M, dim]`.

    Raises:
        InputError: the heads do not divide the width into an even head.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads, heads)
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """`mask`: bool `[B, 1 or N, M]`, True where a token may look. A row without any gathers zeros, no NaN."""
        memory = x if memory is None else memory
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, N, hd]
        key, value = (
            self.key_value(memory).unflatten(-1, (2, self.heads, -1)).transpose(1, 3).unbind(2)
        )  # [B, H, M, hd]
        mask = None if mask is None else mask[:, None]  # [B, 1, 1 or N, M]
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # [B, H, N, hd]
        output: Tensor = self.out(y.transpose(1, 2).flatten(2))  # [B, N, dim]
        return output


class Layer(nn.Module):
    """Attention and MLP, each added to the stream: `[B, N, dim] -> [B, N, dim]`."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = MaskedAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Linear(mlp_ratio * dim, dim))

    def forward(self, x: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.norm_1(x), memory, mask)
        x = x + self.mlp(self.norm_2(x))
        return x
