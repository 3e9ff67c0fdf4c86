"""Vector quantization with a frozen random table and one learned linear map for all codes.

Zhu et al. 2024, "Addressing Representation Collapse in Vector Quantized Models with One Linear Layer"
(arXiv 2411.02038).

    codebook = C W          C [K, D] random and frozen, W [D, D] learned
    loss     = mean (sg[z] - e)^2 + commitment * mean (z - sg[e])^2     as in `vq`

In plain VQ a hit moves one code. Here it moves W, and so every code with it: none is left behind.
"""

from __future__ import annotations

from torch import Tensor, nn

from motionlab.quantizers.base import exact_linear
from motionlab.quantizers.vq import VQ


class SimVQ(VQ):
    """Vector quantizer whose codes are a learned linear map of a frozen random table.

    Args:
        codebook_size: K.
        dim: D.
        commitment: weight of the loss that pulls the encoder to its codes.

    >>> [name for name, value in SimVQ(8, 3).named_parameters() if value.requires_grad]
    ['transform.weight']
    """

    def __init__(self, codebook_size: int, dim: int, *, commitment: float = 0.25) -> None:
        super().__init__(codebook_size, dim, commitment=commitment, start="random")
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.embedding.weight.requires_grad_(False)
        self.transform = nn.Linear(dim, dim, bias=False)

    @property
    def codebook(self) -> Tensor:
        """All codes, `[K, D]`."""
        return exact_linear(self.transform, self.embedding.weight)

    def _look_up(self, indices: Tensor) -> Tensor:
        return exact_linear(self.transform, self.embedding(indices))  # only the rows that were hit: n, not K
