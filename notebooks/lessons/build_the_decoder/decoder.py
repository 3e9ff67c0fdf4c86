"""The decoder of lesson 18 for its appendix: the classes of the lesson's cells, word for word, with annotations.

They look their functions up in `parts`, which lets a reader exchange one of them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lessons.build_the_decoder.parts import WRITTEN

parts = SimpleNamespace(**WRITTEN)


class Norm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Any:
        return parts.norm(x, self.scale, 1e-5)


class Gated(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.c_fc1 = nn.Linear(dim, hidden, bias=False)
        self.c_fc2 = nn.Linear(dim, hidden, bias=False)
        self.c_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Any:
        return parts.mlp(x, self.c_fc1.weight, self.c_fc2.weight, self.c_proj.weight)


class Attention(nn.Module):
    def __init__(self, dim: int, n_head: int, n_kv_heads: int) -> None:
        super().__init__()
        self.heads = (n_head, n_kv_heads, n_kv_heads)  # of queries, keys, values
        self.c_attn = nn.Linear(dim, sum(self.heads) * (dim // n_head), bias=False)
        self.c_proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Any:  # [B, S, dim]
        every = self.c_attn(x).unflatten(-1, (sum(self.heads), -1))  # [B, S, H + 2G, hd]
        query, key, value = every.split(self.heads, dim=2)
        places = torch.arange(x.shape[1])
        query, key = parts.turn(query, places), parts.turn(key, places)  # values are not turned
        y = parts.attend(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), mask)  # [B, H, S, hd]
        return self.c_proj(y.transpose(1, 2).flatten(2))  # [B, S, dim]


class Block(nn.Module):
    def __init__(self, dim: int, n_head: int, n_kv_heads: int, hidden: int) -> None:
        super().__init__()
        self.rms_1, self.attn = Norm(dim), Attention(dim, n_head, n_kv_heads)
        self.rms_2, self.mlp = Norm(dim), Gated(dim, hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Any:
        return parts.block(x, self.rms_1, lambda y: self.attn(y, mask), self.rms_2, self.mlp)


class Decoder(nn.Module):
    def __init__(
        self, codes: int, n_layer: int, n_head: int, n_kv_heads: int, dim: int, hidden: int, text_dim: int
    ) -> None:
        super().__init__()
        blocks = nn.ModuleList(Block(dim, n_head, n_kv_heads, hidden) for _ in range(n_layer))
        self.transformer = nn.ModuleDict({"wte": nn.Embedding(codes + 2, dim), "h": blocks, "ln_f": Norm(dim)})
        self.llama_proj = nn.Linear(text_dim, dim)
        self.lm_head = nn.Linear(dim, codes + 1, bias=False)  # PAD is read, never written

    def forward(self, tokens: Tensor, text: Tensor, text_mask: Tensor) -> Any:  # [B, S], [B, W, text_dim], [B, W]
        x, width = self.transformer["wte"](tokens), text.shape[1]  # [B, S, dim]
        front = torch.where(text_mask[..., None], self.llama_proj(text), x[:, :width])  # [B, W, dim]
        x = torch.cat([front, x[:, width:]], dim=1)
        mask = parts.sees(text_mask, tokens.shape[1])
        for layer in self.transformer["h"]:
            x = layer(x, mask)
        return self.lm_head(self.transformer["ln_f"](x))  # [B, S, K + 1]
