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
* Counts, sums and the start flag are buffers, so a resumed run does not begin its codebook anew.
* A rescued code also gets a new count and sum. With its old ones it would jump back at the next step.
* "Dead" is measured against the fair share min(1, n / K) of hits a batch. Against a fixed 1.0, a batch of n vectors can
  keep at most n codes alive, however good they are: 3,072 of 65,536 in the published setting.
* With several processes the counts and sums are added up over all of them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantized, Quantizer, check_vectors, full_precision, straight_through, work_dtype

SCORES_AT_ONCE = 1 << 20  # numbers in one block of the score matrix: 4 MiB in float32, about what a cache holds
DEAD_BELOW = 0.5  # of the fair share; a rescued code starts at 1 share: ln(0.5)/ln(0.99) = 69 steps to earn its place


def nearest_codes(z: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest code for each vector: `z [n, D]`, `codebook [K, D]` -> `[n]` int64.

    |z - c|^2 = |z|^2 - 2 (z.c - |c|^2 / 2), so the nearest code has the largest z.c - |c|^2 / 2. That is one matrix
    product; it runs in blocks so that the `[n, K]` matrix never exists as a whole.

    >>> nearest_codes(torch.tensor([[0.9], [-3.0]]), torch.tensor([[-1.0], [0.0], [1.0]])).tolist()
    [2, 0]
    """
    penalty = codebook.square().sum(1).mul_(-0.5)  # [K]
    transposed = codebook.t()  # [D, K]
    rows = max(1, SCORES_AT_ONCE // len(codebook))
    return torch.cat([torch.addmm(penalty, block, transposed).argmax(1) for block in z.split(rows)])


class VQEMA(Quantizer):
    """Vector quantizer with an exponential-moving-average codebook.

    Args:
        codebook_size: K.
        dim: D.
        decay: m, the share of the old average that stays at each training step.
        commitment: weight of the loss that pulls the encoder to its codes.
        reset: rescue dead codes with vectors of the batch. Without it codebooks collapse; see lesson 02.

    Every training forward updates the buffers; `eval()` freezes them. The first training batch becomes the codebook.
    """

    codebook: Tensor
    cluster_size: Tensor
    cluster_sum: Tensor
    initialised: Tensor

    def __init__(
        self, codebook_size: int, dim: int, *, decay: float = 0.99, commitment: float = 0.02, reset: bool = True
    ) -> None:
        super().__init__()
        if codebook_size < 2:
            raise InputError("codebook_size", found=codebook_size, expected="2 or more", fix="Choose a larger size.")
        if not 0 <= decay < 1:
            raise InputError("decay", found=decay, expected="0 <= decay < 1", fix="0.99 is the usual value.")
        self.codebook_size, self.dim = codebook_size, dim
        self.decay, self.commitment, self.reset = decay, commitment, reset
        self.register_buffer("codebook", torch.randn(codebook_size, dim) / dim**0.5)
        self.register_buffer("cluster_size", torch.ones(codebook_size))
        self.register_buffer("cluster_sum", self.codebook.clone())
        self.register_buffer("initialised", torch.tensor(False))
        # Reading the flag waits for the GPU, so it is read once and again only after load_state_dict.
        self._flag_read = False
        self.register_load_state_dict_post_hook(_forget_flag)

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            real = z.to(work_dtype(self.codebook))
            vectors = real.detach().reshape(-1, self.dim)  # [..., D] -> [n, D]
            kept = slice(None) if mask is None else mask.reshape(-1)
            if self.training:
                self._initialise_once(vectors[kept])
            indices = nearest_codes(vectors, self.codebook.to(vectors.dtype))  # [n]
            codes = self._look_up(indices).view(z.shape)  # taken before the codebook moves
            if mask is None:
                distance = F.mse_loss(real, codes)
            else:
                distance = F.mse_loss(real[mask], codes[mask])
            if self.training:
                self._update(vectors[kept], indices[kept])
            codes = straight_through(real, codes)
        codes = codes.to(self.codebook.dtype)
        return Quantized(codes, indices.view(z.shape[:-1]), self.commitment * distance)

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        return self._look_up(indices.reshape(-1)).view(*indices.shape, self.dim).to(self.codebook.dtype)

    def extra_repr(self) -> str:
        return (
            f"codebook_size={self.codebook_size}, dim={self.dim}, decay={self.decay}, "
            f"commitment={self.commitment}, reset={self.reset}"
        )

    def _look_up(self, indices: Tensor) -> Tensor:
        return self.codebook.index_select(0, indices).to(work_dtype(self.codebook))

    @torch.no_grad()
    def _initialise_once(self, vectors: Tensor) -> None:
        if self._flag_read or len(vectors) == 0:
            return
        if not self.initialised:
            share = self._share(torch.tensor(len(vectors) * (dist.get_world_size() if _several_processes() else 1)))
            self.codebook.copy_(self._candidates(vectors))
            self.cluster_sum.copy_(self.codebook * share)
            self.cluster_size.fill_(share)
            self.initialised.fill_(True)
        self._flag_read = True

    @torch.no_grad()
    def _update(self, vectors: Tensor, indices: Tensor) -> None:
        # index_add instead of a product with a one-hot matrix [n, K]: the same sums without the matrix.
        count = torch.bincount(indices, minlength=self.codebook_size).to(vectors.dtype)  # [K]
        total = torch.zeros_like(self.cluster_sum, dtype=vectors.dtype).index_add_(0, indices, vectors)  # [K, D]
        if _several_processes():
            dist.all_reduce(count)
            dist.all_reduce(total)
        self.cluster_size.lerp_(count.to(self.cluster_size.dtype), 1 - self.decay)
        self.cluster_sum.lerp_(total.to(self.cluster_sum.dtype), 1 - self.decay)
        if self.reset and len(vectors) > 0:
            # torch.where on all rows, not a loop over dead ones: asking which are dead would wait for the GPU.
            share = self._share(count.sum())
            dead = self.cluster_size < DEAD_BELOW * share  # [K]
            fresh = self._candidates(vectors) * share
            self.cluster_sum.copy_(torch.where(dead.unsqueeze(1), fresh, self.cluster_sum))
            self.cluster_size.copy_(torch.where(dead, share, self.cluster_size))
        # Without reset an unused count decays towards 0; below the limit its code simply stays where it is.
        alive = (self.cluster_size > 1e-12).unsqueeze(1)
        means = self.cluster_sum / self.cluster_size.clamp(min=1e-12).unsqueeze(1)
        self.codebook.copy_(torch.where(alive, means, self.codebook))

    def _share(self, vectors: Tensor) -> Tensor:
        """The fair share of hits a batch and code, min(1, n / K)."""
        return (vectors / self.codebook_size).clamp(max=1.0).to(self.cluster_size)

    def _candidates(self, vectors: Tensor) -> Tensor:
        """K vectors of the batch `[K, D]` in random order; repeated ones get a little noise so that they differ."""
        n, k = len(vectors), self.codebook_size
        order = torch.randperm(n, device=vectors.device).repeat(-(-k // n))[:k]
        chosen = vectors.index_select(0, order)  # [n, D] -> [K, D]
        if k > n:
            chosen = chosen + torch.randn_like(chosen) * (0.01 / self.dim**0.5)
        if _several_processes():
            dist.broadcast(chosen, src=0)  # every process must rescue with the same vectors
        return chosen.to(self.codebook.dtype)


def _several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _forget_flag(module: VQEMA, incompatible_keys: Any) -> None:
    module._flag_read = False
