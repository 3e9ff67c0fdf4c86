"""RMSNorm: divide by the root of the mean square. Zhang and Sennrich, arXiv:1910.07467."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """`x / rms(x) * scale` over the last dimension. Unlike LayerNorm it subtracts no mean and has no bias.

    >>> RMSNorm(2)(torch.tensor([3.0, 4.0])).detach()  # rms = sqrt((9 + 16) / 2) = 3.5355
    tensor([0.8485, 1.1314])
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        # One fused kernel on a GPU. It takes the mean of the squares in float32 whatever the dtype of x.
        return F.rms_norm(x, self.scale.shape, self.scale, self.eps)
