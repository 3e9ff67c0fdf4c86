"""Vector quantization by direction: vectors and codes live on the unit sphere.

Yu et al. 2021, "Vector-quantized Image Modeling with Improved VQGAN" (arXiv 2110.04627, section 3.2), with the codebook
learned by moving averages as in `vq_ema`.

    u     = z / |z|
    index = argmin_k |u - codebook_k|^2 = argmax_k u . codebook_k       all |codebook_k| = 1
    codebook_k = sum_k / |sum_k|                                        sum_k: moving average of the u that hit k

An encoder whose vectors grow cannot leave these codes behind, for length carries nothing. Codes still die (lesson 02
counts them), so the rescue of `vq_ema` stays.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from motionlab.quantizers.codebook import Start
from motionlab.quantizers.vq_ema import VQEMA


class CosineVQ(VQEMA):
    """Vector quantizer that compares directions; its codes have length 1.

    Args: those of `VQEMA`.

    >>> import torch
    >>> vq, z = CosineVQ(8, 3), torch.randn(100, 3)
    >>> first = vq(z)  # the first batch becomes the codebook
    >>> torch.equal(vq.eval()(z).indices, vq(z * 50).indices)
    True
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        decay: float = 0.99,
        commitment: float = 0.25,
        reset: bool = True,
        start: Start = "batch",
    ) -> None:
        super().__init__(codebook_size, dim, decay=decay, commitment=commitment, reset=reset, start=start)

    def _place(self, vectors: Tensor) -> Tensor:
        """On the unit sphere; a vector of zeros stays where it is."""
        return F.normalize(vectors, dim=-1)
