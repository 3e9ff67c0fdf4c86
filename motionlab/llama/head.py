"""An output layer that shares its weights with the input embedding.

"A code is likely when the state points at its embedding." With a codebook of 64,000 this saves half of the weights
of the small decoders.  Press and Wolf, arXiv:1608.05859.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class TiedHead(nn.Module):
    """`lm_head` without its own weights: the first `rows` rows of the embedding. It adds nothing to a state dict."""

    def __init__(self, embedding: nn.Embedding, rows: int) -> None:
        super().__init__()
        # In a tuple, so that torch does not list the embedding as a part of this module a second time.
        self._embedding, self.rows = (embedding,), rows

    @property
    def weight(self) -> Tensor:
        """`[rows, dim]`, a view of the embedding."""
        return self._embedding[0].weight[: self.rows]

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)
