"""Vector quantization with a codebook that follows the data by moving averages, and a rescue for dead codes.

van den Oord et al. 2017, "Neural Discrete Representation Learning" (arXiv 1711.00937), appendix A.1 for the moving
averages; the rescue of dead codes follows Jukebox (arXiv 2005.00341, section 3.1), as text-to-motion work does since
T2M-GPT (arXiv 2301.06052).

Notation: n vectors in the batch, K = `codebook_size`, D = `dim`, m = `decay`.

    index    = argmin_k |z - codebook_k|^2
    count_k <- m count_k + (1 - m) (hits of k in the batch)
    sum_k   <- m sum_k   + (1 - m) (sum of the vectors that hit k)
    codebook_k = sum_k / count_k
    loss     = commitment * mean (z - sg[code])^2

Where this differs from the published code, on purpose:
* Counts, sums and the start flag are buffers, so a resumed run does not restart its codebook.
* A rescued code also gets a new count and sum. With its old ones it would jump back at the next step.
* "Dead" is measured against a fair share, min(1, n / K) hits per batch. Against a fixed 1.0, a batch of n vectors can
  keep at most n codes alive, however good they are: 3,072 of 65,536 in the published setting.
* With several processes the counts and sums are added up over all of them.
* Padding, NaN and infinity teach nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.base import (
    Quantized,
    check_vectors,
    full_precision,
    mean_square,
    straight_through,
    work_dtype,
)
from motionlab.quantizers.codebook import CodebookQuantizer, Start, draw_rows, nearest_codes, tally, teaching_rows

DEAD_BELOW = 0.5  # of the fair share; a rescued code starts at 1 share: ln(0.5)/ln(0.99) = 69 steps to earn its place


class VQEMA(CodebookQuantizer):
    """Vector quantizer with an exponential-moving-average codebook.

    Args:
        codebook_size: K.
        dim: D.
        decay: m, the share of the old average that stays at each training step.
        commitment: weight of the loss that pulls the encoder to its codes.
        reset: rescue dead codes with vectors of the batch. Without it codebooks collapse; see lesson 02.
        start: the first codebook; see `CodebookQuantizer`.

    Every training forward updates the buffers; `eval()` freezes them.
    """

    codebook: Tensor
    cluster_size: Tensor
    cluster_sum: Tensor

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        decay: float = 0.99,
        commitment: float = 0.02,
        reset: bool = True,
        start: Start = "batch",
    ) -> None:
        super().__init__(codebook_size, dim, start)
        if not 0 <= decay < 1:
            raise InputError("decay", found=decay, expected="0 <= decay < 1", fix="0.99 is the usual value.")
        self.decay, self.commitment, self.reset = decay, commitment, reset
        # In place: without memory (`files/weights.py`) a plain division would import torch's compiler, for a second.
        self.register_buffer("codebook", self._place(torch.randn(codebook_size, dim).div_(dim**0.5)))
        self.register_buffer("cluster_size", torch.ones(codebook_size))
        self.register_buffer("cluster_sum", self.codebook.clone())

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            points = self._place(z.to(work_dtype(self.codebook)))
            vectors = points.detach().reshape(-1, self.dim)  # [..., D] -> [n, D]
            if self.training:
                kept = teaching_rows(vectors, mask)  # [n]
                self._begin(vectors, kept)
            indices = nearest_codes(vectors, self.codebook.to(vectors.dtype))  # [n]
            found = self._look_up(indices).view(z.shape)  # taken before the codebook moves
            # The gradient of what comes last is made first. Made first, that of the loss is a fresh tensor which the
            # other is added to in place; the other way round needs a third one of the size of z.
            codes = self._connect(points, found)
            loss = self.commitment * mean_square(points, found, mask)
            if self.training:
                self._update(vectors, indices, kept)
        return Quantized(codes.to(self.codebook.dtype), indices.view(z.shape[:-1]), loss)

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        return self._look_up(indices.reshape(-1)).view(*indices.shape, self.dim).to(self.codebook.dtype)

    def set_codebook(self, vectors: Tensor, hits: Tensor) -> None:
        share = self._share(hits)
        self.codebook.copy_(self._place(vectors))
        self.cluster_sum.copy_(self.codebook * share)
        self.cluster_size.fill_(share)

    def extra_repr(self) -> str:
        return (
            f"codebook_size={self.codebook_size}, dim={self.dim}, decay={self.decay}, "
            f"commitment={self.commitment}, reset={self.reset}, start={self.start!r}"
        )

    def _place(self, vectors: Tensor) -> Tensor:
        """Where vectors and codes live: anywhere."""
        return vectors

    def _connect(self, points: Tensor, codes: Tensor) -> Tensor:
        """How the gradient comes from the codes back to the vectors."""
        return straight_through(points, codes)

    def _look_up(self, indices: Tensor) -> Tensor:
        return self.codebook.index_select(0, indices).to(work_dtype(self.codebook))

    @torch.no_grad()
    def _update(self, vectors: Tensor, indices: Tensor, kept: Tensor) -> None:
        count, total = tally(vectors, indices, kept, self.codebook_size)
        self.cluster_size.lerp_(count.to(self.cluster_size.dtype), 1 - self.decay)
        self.cluster_sum.lerp_(total.to(self.cluster_sum.dtype), 1 - self.decay)
        if self.reset:
            self._rescue(vectors, kept, self._share(count.sum()))
        # Without reset an unused count decays towards 0; below the limit its code simply stays where it is.
        alive = (self.cluster_size > 1e-12).unsqueeze(1)
        means = self.cluster_sum / self.cluster_size.clamp(min=1e-12).unsqueeze(1)
        self.codebook.copy_(torch.where(alive, self._place(means), self.codebook))

    def _rescue(self, vectors: Tensor, kept: Tensor, share: Tensor) -> None:
        dead = self.cluster_size < DEAD_BELOW * share  # [K]; none when the batch is all padding: its share is 0
        if dead.device.type == "cpu" and not dead.any():  # a GPU would have to finish all its work before it could say
            return
        fresh = draw_rows(vectors, kept, self.codebook_size).to(self.cluster_sum.dtype) * share
        self.cluster_sum.copy_(torch.where(dead.unsqueeze(1), fresh, self.cluster_sum))
        self.cluster_size.copy_(torch.where(dead, share, self.cluster_size))

    def _share(self, hits: Tensor) -> Tensor:
        """The fair share of hits per batch and code, min(1, n / K)."""
        return (hits / self.codebook_size).clamp(max=1.0).to(self.cluster_size)
