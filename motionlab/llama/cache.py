"""The key-value cache: what attention has already worked out is kept, so a new token costs one row, not the whole.

Without it, token `t` repeats the work of the `t - 1` tokens before it. The keys and values of a token do not change
when later tokens arrive (causal mask), so they can be stored. With grouped-query attention the store is smaller by
`n_head / n_kv_heads`.  Shazeer, arXiv:1911.02150; Ainslie et al., "GQA", arXiv:2305.13245.

The cache is static: all memory is taken at the start, nothing grows. Rows may have texts of different lengths: texts
have the slots 0..W-1 of the longest, and code number `t` of every row goes to slot `W + t`, so that one copy writes it
for all rows. `visible` hides the slots that a short text leaves empty. The position of a token in its own sequence is
told by its rotation, not by its slot.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError


class KVCache:
    """Keys and values of every layer: one tensor `[n_layer, 2, B, n_kv_heads, length, head_dim]`, keys first.

    A cache belongs to one batch of texts. A new prompt needs a new cache (or `clear`): keys of the old text would
    answer the queries of the new motion.
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
        self.visible = torch.ones(batch, length, dtype=torch.bool, device=device)
        shape = (n_layer, 2, batch, n_kv_heads, length, head_dim)
        self._store(torch.zeros(shape, device=device, dtype=dtype))
        self.length, self._used = length, 0
        self.has_gaps = False

    @property
    def used(self) -> int:
        """Slots that attention has to look at; `generate` moves it on.

        Looking only at these keeps the first tokens as cheap as they should be. More than `length` is an InputError.
        """
        return self._used

    @used.setter
    def used(self, used: int) -> None:
        if not 0 <= used <= self.length:
            raise InputError(
                "cache", found=f"{used} slots in use", expected=f"at most {self.length}", fix="Make a longer cache."
            )
        self._used = used

    def clear(self) -> None:
        """Forget everything. The numbers may stay: a slot is written before it is in use again."""
        self._used = 0
        self.show(self.visible[:, :0])

    def show(self, visible: Tensor) -> None:
        """Say which of the first slots hold a token, bool `[B, W]`; all slots after them will."""
        self.visible.fill_(True)
        self.visible[:, : visible.shape[1]] = visible
        self.has_gaps = not bool(visible.all())

    @property
    def nbytes(self) -> int:
        """Memory of the cache in bytes: `2 * n_layer * B * n_kv_heads * length * head_dim * bytes per number`.

        >>> KVCache(n_layer=2, batch=1, n_kv_heads=4, length=10, head_dim=8).nbytes
        5120
        """
        return self.stored.nbytes

    @property
    def keys(self) -> Tensor:
        """`[n_layer, B, n_kv_heads, length, head_dim]`, a view."""
        return self.stored[:, 0]

    @property
    def values(self) -> Tensor:
        """`[n_layer, B, n_kv_heads, length, head_dim]`, a view."""
        return self.stored[:, 1]

    def mask(self) -> Tensor | None:
        """The slots that a new token may look at, bool `[B, 1, 1, used]`; None, which is faster, when it is all."""
        return self.visible[:, None, None, : self._used] if self.has_gaps else None

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the keys and values of the last S slots in use, return those of all slots in use.

        Args:
            layer: which layer.
            key, value: `[B, n_kv_heads, S, head_dim]`.

        Returns:
            views `[B, n_kv_heads, used, head_dim]`.
        """
        keys, values = self.layers[layer][0], self.layers[layer][1]
        new = slice(self._used - key.shape[2], self._used)
        keys[:, :, new] = key
        values[:, :, new] = value
        return keys[:, :, : self._used], values[:, :, : self._used]

    def select(self, rows: Tensor) -> None:
        """Keep only these rows of the batch: samples that have ended need no more work.

        A row may be named several times: many samples of one text share the work of reading it.
        """
        self._store(self.stored.index_select(2, rows))
        self.visible = self.visible[rows]

    def _store(self, numbers: Tensor) -> None:
        self.stored = numbers
        # A view per layer, [2, B, n_kv_heads, length, head_dim]. Not `unbind`: autograd forbids writes into its views.
        self.layers = [numbers[layer] for layer in range(len(numbers))]
