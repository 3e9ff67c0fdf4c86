"""Lookup-free quantization: a code is the signs of a few numbers.

Yu et al. 2023, "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation" (arXiv 2310.05737, section 3):

    code_i  = +1 if z_i > 0 else -1                        d = log2 K numbers                           equation 4
    index   = sum_i 2^(d-1-i) [z_i > 0]                    the first number is the highest bit
    loss    = entropy * (mean_n H(p_n) - diversity * H(mean_n p_n)) + commitment * mean (z - sg[code])^2
    p_n(c)  = softmax over all K codes of -inv_temperature |z_n - c|^2                                  equation 5

The first entropy is small when each vector is sure of its code, the second is large when all codes are used.

p_n is a product over the bits: each is +1 with probability sigmoid(4 inv_temperature z_i), independently. So H(p_n) is
a sum over bits. H(mean p) is not, because a mean of products is no product; the usual ways are a matrix [n, K], or an
estimate by groups of bits. Here it is exact and small: cut the bits in two halves, and the mean of the products is one
matrix product, [sqrt K, n] times [n, sqrt K].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.quantizers.base import (
    Quantized,
    Quantizer,
    check_vectors,
    exact_linear,
    full_precision,
    mean_square,
    straight_through,
    work_dtype,
)


class LFQ(Quantizer):
    """Sign quantizer with a linear map in and out, and an entropy loss in training.

    Args:
        codebook_size: K, a power of two.
        dim: D, width of the vectors that come in and go out.
        entropy: weight of the entropy loss.
        diversity: gamma, weight of its second part.
        commitment: weight of the loss that pulls the numbers to -1 or +1.
        inv_temperature: how sharply p prefers the nearest code.

    >>> lfq = LFQ(16, dim=8)
    >>> lfq.indices_to_bits(torch.tensor([0, 1, 15])).tolist()
    [[-1.0, -1.0, -1.0, -1.0], [-1.0, -1.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """

    basis: Tensor

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        entropy: float = 0.1,
        diversity: float = 1.0,
        commitment: float = 0.25,
        inv_temperature: float = 100.0,
    ) -> None:
        super().__init__()
        bits = codebook_size.bit_length() - 1
        if codebook_size < 2 or codebook_size != 2**bits:
            near = 2 ** max(bits, 1)
            raise InputError("codebook_size", found=codebook_size, expected="a power of two", fix=f"Try {near}.")
        self.dim, self.codebook_size = dim, codebook_size
        self.entropy, self.diversity, self.commitment = entropy, diversity, commitment
        self.inv_temperature = inv_temperature
        self.project_in = nn.Linear(dim, bits)
        self.project_out = nn.Linear(bits, dim)
        # Not saved: it follows from the arguments.
        self.register_buffer("basis", 2 ** torch.arange(bits - 1, -1, -1), persistent=False)

    @property
    def scale(self) -> float:
        """The size of each number of a code."""
        return 1.0

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            points = self._place(exact_linear(self.project_in, z))  # [..., D] -> [..., d]
            positive = points.detach() > 0
            indices = (positive * self.basis).sum(-1)  # [..., d] -> [...]
            signs = torch.where(positive, self.scale, -self.scale).to(points.dtype)
            loss = self._loss(points, signs, mask) if self.training else points.new_zeros(())
            codes = exact_linear(self.project_out, straight_through(points, signs))  # [..., d] -> [..., D]
        return Quantized(codes.to(self.project_out.weight.dtype), indices, loss)

    def indices_to_bits(self, indices: Tensor) -> Tensor:
        """Indices `[...]` to the d numbers +-`scale` that each represents, `[..., d]`."""
        positive = indices.unsqueeze(-1) // self.basis % 2 == 1
        return torch.where(positive, self.scale, -self.scale).to(work_dtype(self.project_out.weight))

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        codes = exact_linear(self.project_out, self.indices_to_bits(indices))
        return codes.to(self.project_out.weight.dtype)

    def extra_repr(self) -> str:
        return (
            f"codebook_size={self.codebook_size}, entropy={self.entropy}, diversity={self.diversity}, "
            f"commitment={self.commitment}, inv_temperature={self.inv_temperature}"
        )

    def _place(self, points: Tensor) -> Tensor:
        """Where the numbers live: anywhere."""
        return points

    def _loss(self, points: Tensor, signs: Tensor, mask: Tensor | None) -> Tensor:
        loss = self.commitment * mean_square(points, signs, mask)
        if self.entropy:
            logits = (4 * self.inv_temperature * self.scale) * points.reshape(-1, points.shape[-1])  # [n, d]
            each, together = code_entropies(logits, None if mask is None else mask.reshape(-1))
            loss = loss + self.entropy * (each - self.diversity * together)
        return loss


def code_entropies(logits: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Two entropies in nats over all 2^d codes: the mean of each vector's, and that of the mean distribution.

    Args:
        logits: `[n, d]`; bit i of vector n is 1 with probability sigmoid(logits[n, i]).
        mask: `[n]`, true where a vector counts.
    """
    if mask is not None:
        logits = torch.where(mask.unsqueeze(1), logits, 0.0)  # NaN in padding must not come through
    weight = torch.ones_like(logits[:, 0]) if mask is None else mask.to(logits.dtype)
    weight = weight / weight.sum().clamp(min=1)  # [n]; adds up to 1
    p = torch.sigmoid(logits)  # [n, d]
    # H of a bit = -p log p - (1 - p) log (1 - p), in a form that is exact for p near 0 and 1
    each = (F.softplus(logits) - p * logits).sum(1) @ weight
    low, high = (_products(half) for half in p.split([p.shape[1] // 2, p.shape[1] - p.shape[1] // 2], dim=1))
    mean = (low * weight.unsqueeze(1)).t() @ high  # [2^(d/2), 2^(d/2)]: each of the 2^d codes once
    tiny = torch.finfo(mean.dtype).tiny  # log 0 would make the gradient NaN
    return each, -(mean * mean.clamp(min=tiny).log()).sum()


def _products(p: Tensor) -> Tensor:
    """Probabilities of bits `[n, m]` to probabilities of all their patterns `[n, 2^m]`."""
    result = p.new_ones(len(p), 1)
    for bit in p.unbind(1):
        both = torch.stack([1 - bit, bit], dim=1)  # [n, 2]
        result = (result.unsqueeze(2) * both.unsqueeze(1)).flatten(1)  # [n, s] -> [n, 2 s]
    return result
