"""Vector quantization whose codebook is learned by gradient, as VQ-VAE was first published.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (arXiv 1711.00937), equation 3 without its first
term, the reconstruction:

    index = argmin_k |z - e_k|^2                                        equation 1
    loss  = mean (sg[z] - e)^2 + commitment * mean (z - sg[e])^2        e the nearest code, sg stops the gradient

The first term moves the code that was hit to its vectors, the second keeps the vectors near it. A code that is never
hit gets no gradient and never moves: `start="random"` shows how a codebook dies of that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from motionlab.quantizers.base import (
    Quantized,
    check_vectors,
    full_precision,
    mean_square,
    straight_through,
    work_dtype,
)
from motionlab.quantizers.codebook import CodebookQuantizer, Start, nearest_codes, teaching_rows


class VQ(CodebookQuantizer):
    """Vector quantizer with a codebook that the optimizer learns.

    Args:
        codebook_size: K.
        dim: D.
        commitment: beta, weight of the loss that pulls the encoder to its codes.
        start: the first codebook; see `CodebookQuantizer`. "random" is uniform in -1/K..1/K, as published.

    >>> vq = VQ(8, 3)
    >>> vq(torch.randn(100, 3)).loss.backward()
    >>> vq.codebook.grad.shape
    torch.Size([8, 3])
    """

    def __init__(self, codebook_size: int, dim: int, *, commitment: float = 0.25, start: Start = "batch") -> None:
        super().__init__(codebook_size, dim, start)
        self.commitment = commitment
        # An embedding, and not a bare parameter: optimizers exempt embeddings from weight decay, and a decayed code
        # fades to 0 while no vector hits it.
        self.embedding = nn.Embedding(codebook_size, dim)
        nn.init.uniform_(self.embedding.weight, -1 / codebook_size, 1 / codebook_size)

    @property
    def codebook(self) -> Tensor:
        """All codes, `[K, D]`."""
        return self.embedding.weight

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            points = z.to(work_dtype(self.embedding.weight))
            vectors = points.detach().reshape(-1, self.dim)  # [..., D] -> [n, D]
            if self.training:
                self._begin(vectors, teaching_rows(vectors, mask))
            with torch.no_grad():
                indices = nearest_codes(vectors, self.codebook.to(vectors.dtype))  # [n]
            codes = self._look_up(indices).view(z.shape)
            learn = mean_square(points.detach(), codes, mask)
            loss = learn + self.commitment * mean_square(points, codes.detach(), mask)
            codes = straight_through(points, codes.detach())
        return Quantized(codes.to(self.embedding.weight.dtype), indices.view(z.shape[:-1]), loss)

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        with full_precision(self.embedding.weight):
            codes = self._look_up(indices.reshape(-1)).view(*indices.shape, self.dim)
        return codes.to(self.embedding.weight.dtype)

    def set_codebook(self, vectors: Tensor, hits: Tensor) -> None:
        self.embedding.weight.copy_(vectors)

    def extra_repr(self) -> str:
        return f"codebook_size={self.codebook_size}, dim={self.dim}, commitment={self.commitment}, start={self.start!r}"

    def _look_up(self, indices: Tensor) -> Tensor:
        """Codes `[n, D]` of indices `[n]`, with the gradient that learns them."""
        codes: Tensor = self.embedding(indices)
        return codes.to(work_dtype(codes))
