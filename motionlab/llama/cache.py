"""The key-value cache: what attention has already worked out is kept, so a new token costs one row, not the whole.

Without it, token `t` repeats the work of the `t - 1` tokens before it. The keys and values of a token do not change
when later tokens arrive (causal mask), so they can be stored. With grouped-query attention the store is smaller by
`n_head / n_kv_heads`.  Shazeer, arXiv:1911.02150; Ainslie et al., "GQA", arXiv:2305.13245.

The cache is static: all memory is taken at the start, nothing grows. Rows may have texts of different lengths. Slot `p`
of row `b` holds position `p` of that row; a slot that a short text left unused is overwritten by the first motion codes
of the row and is hidden by the mask until then.
"""

from __future__ import annotations

import torch
from torch import Tensor


class KVCache:
    """Keys and values of every layer: two tensors `[n_layer, B, n_kv_heads, length, head_dim]`.

    `used` is the number of slots that attention has to look at; `generate` moves it on. Looking only at these keeps
    the first tokens as cheap as they should be.
    """

    def __init__(
        self,
        n_layer: int,
        batch: int,
        n_kv_heads: int,
        length: int,
        head_dim: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        shape = (n_layer, batch, n_kv_heads, length, head_dim)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.used = 0

    @property
    def nbytes(self) -> int:
        """Memory of the cache in bytes: `2 * n_layer * B * n_kv_heads * length * head_dim * bytes a number`.

        >>> KVCache(n_layer=2, batch=1, n_kv_heads=4, length=10, head_dim=8).nbytes
        5120
        """
        return 2 * self.keys.nbytes

    def update(self, layer: int, key: Tensor, value: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Store new keys and values, give back all that are in use.

        Args:
            layer: which layer.
            key, value: `[B, n_kv_heads, S, head_dim]`.
            positions: int64 `[B]`, the slot of each row's one new token (S = 1); None stores slots 0..S-1.

        Returns:
            views `[B, n_kv_heads, used, head_dim]`.
        """
        keys, values = self.keys[layer], self.values[layer]
        if positions is None:
            keys[:, :, : key.shape[2]] = key
            values[:, :, : value.shape[2]] = value
        else:
            rows = torch.arange(len(positions), device=positions.device)
            keys[rows, :, positions] = key[:, :, 0].to(keys.dtype)  # [B, n_kv_heads, head_dim]
            values[rows, :, positions] = value[:, :, 0].to(values.dtype)
        return keys[:, :, : self.used], values[:, :, : self.used]

    def select(self, rows: Tensor) -> None:
        """Keep only these rows of the batch: samples that have ended need no more work."""
        self.keys = self.keys[:, rows]
        self.values = self.values[:, rows]
