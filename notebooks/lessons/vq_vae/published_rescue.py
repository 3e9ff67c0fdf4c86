"""The rescue rule of the published motion tokenizers, written from its formulas, faults included. For lesson 02.

The code that MotionMillion publishes carries T2M-GPT's quantizer "ema_reset" on. One training step, with m = decay:

    count_k <- m count_k + (1 - m) (hits of k in the batch)            begins at 1
    sum_k   <- m sum_k   + (1 - m) (sum of the vectors that hit k)     begins at the code
    code_k   = sum_k / count_k      if count_k >= 1
             = a vector of the batch, another one at every step        otherwise

Two things are questionable. The limit is 1 hit per batch, whatever share a code could have. And a code put onto a
vector keeps its old sum and count: when its count reaches 1, it leaves that place for the mean of all the vectors that
it met anywhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.quantizers.base import Quantized, Quantizer, straight_through
from motionlab.quantizers.codebook import draw_rows, nearest_codes, tally


class PublishedRescue(Quantizer):
    """For comparison only; `motionlab.quantizers.vq_ema.VQEMA` is the one to use. Vectors are `[n, D]`."""

    def __init__(self, codebook_size: int, dim: int, *, decay: float = 0.99, commitment: float = 0.02) -> None:
        super().__init__()
        self.codebook_size, self.dim, self.decay, self.commitment = codebook_size, dim, decay, commitment
        self.codebook = torch.zeros(codebook_size, dim)
        self.sum = torch.zeros(codebook_size, dim)
        self.count = torch.ones(codebook_size)
        self.begun = False

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        vectors = z.detach()
        every = torch.ones(len(vectors), dtype=torch.bool)
        if self.training and not self.begun:
            self.codebook = draw_rows(vectors, every, self.codebook_size)
            self.sum, self.begun = self.codebook.clone(), True
        indices = nearest_codes(vectors, self.codebook)
        codes = self.codebook[indices]
        if self.training:
            hits, total = tally(vectors, indices, every, self.codebook_size)
            self.count = self.count.lerp(hits, 1 - self.decay)
            self.sum = self.sum.lerp(total, 1 - self.decay)
            alive = (self.count >= 1).unsqueeze(1)
            fresh = draw_rows(vectors, every, self.codebook_size)
            self.codebook = torch.where(alive, self.sum / self.count.unsqueeze(1), fresh)
        return Quantized(straight_through(z, codes), indices, self.commitment * F.mse_loss(z, codes))

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        return self.codebook[indices]
