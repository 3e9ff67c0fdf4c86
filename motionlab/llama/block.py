"""One decoder layer: SwiGLU, and the pre-norm block that joins it with attention.

    x = x + attention(norm(x));   x = x + swiglu(norm(x))

The residual stream `x` is never normalised itself, so gradients reach every layer unchanged.
Shazeer, "GLU variants", arXiv:2002.05202.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.llama.attention import Attention
from motionlab.llama.cache import KVCache
from motionlab.llama.masks import Mask
from motionlab.llama.norm import RMSNorm


def swiglu_hidden(dim: int, multiple: int = 256) -> int:
    """The published hidden width: `int(8 * dim / 3)` rounded up to a multiple of 256.

    8/3 instead of 4 keeps the size of a plain two-matrix layer although SwiGLU has three matrices.

    >>> swiglu_hidden(512), swiglu_hidden(3200)
    (1536, 8704)
    """
    return -(-int(8 * dim / 3) // multiple) * multiple


class SwiGLU(nn.Module):
    """`W3 (silu(W1 x) * W2 x)`: one product decides how much of the other passes. The names are the checkpoint's."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.c_fc1 = nn.Linear(dim, hidden, bias=False)
        self.c_fc2 = nn.Linear(dim, hidden, bias=False)
        self.c_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.c_proj(F.silu(self.c_fc1(x)) * self.c_fc2(x))
        return output


class Block(nn.Module):
    """One decoder layer, `[B, S, dim] -> [B, S, dim]`. `qk_norm`: see `Attention`; `eps` is that of the norms."""

    def __init__(
        self, dim: int, n_head: int, n_kv_heads: int, hidden: int, *, qk_norm: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.rms_1 = RMSNorm(dim, eps)
        self.attn = Attention(dim, n_head, n_kv_heads, qk_norm=qk_norm, eps=eps)
        self.rms_2 = RMSNorm(dim, eps)
        self.mlp = SwiGLU(dim, hidden)

    def forward(
        self,
        x: Tensor,
        turn: Tensor,
        mask: Mask,
        cache: KVCache | None = None,
        layer: int = 0,
    ) -> Tensor:
        x = x + self.attn(self.rms_1(x), turn, mask, cache, layer)
        x = x + self.mlp(self.rms_2(x))
        return x
