"""Residual quantization: the second codebook encodes what the first one missed, and so on.

Zeghidour et al. 2021, "SoundStream: An End-to-End Neural Audio Codec" (arXiv 2107.03312), algorithm 1. Q codebooks:

    residual_0 = z
    code_q     = quantize_q(residual_q)
    residual_{q+1} = residual_q - sg[code_q]
    code       = sum_q code_q

K codes in each of Q codebooks give K^Q sums with Q K rows to learn. `ResidualFSQ` does the same with numbers: its
first codebook is plain FSQ, and each further one cuts every step into L finer steps, like the digits after the point.

    residual_1 = bound(z) - step_0                        in -1/2..1/2
    digit_q    = floor(residual_q L + L / 2)              in 0..L - 1: L equal cells, for odd and for even L
    step_q     = (digit_q + 1/2 - L / 2) / L              the middle of its cell
    residual_{q+1} = (residual_q - step_q) L              in -1/2..1/2 again, so that no codebook starves
    code       = (step_0 + step_1 + step_2 / L + ...) / (L_0 // 2)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.quantizers.base import (
    Quantized,
    Quantizer,
    check_vectors,
    exact_linear,
    full_precision,
    straight_through,
    work_dtype,
)
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.vq_ema import VQEMA


class ResidualVQ(Quantizer):
    """Q moving-average codebooks, each for the rest of the ones before it.

    Args:
        codebook_size: K of each codebook.
        dim: D.
        n_codebooks: Q.
        decay, commitment, reset: those of `VQEMA`.

    >>> rvq = ResidualVQ(16, 4, n_codebooks=3)
    >>> rvq(torch.randn(2, 50, 4)).indices.shape, rvq.bits
    (torch.Size([2, 50, 3]), 12.0)
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        n_codebooks: int = 2,
        decay: float = 0.99,
        commitment: float = 0.02,
        reset: bool = True,
    ) -> None:
        super().__init__()
        _check_count(n_codebooks)
        self.dim, self.codebook_size, self.n_codebooks = dim, codebook_size, n_codebooks
        self.layers = nn.ModuleList(
            VQEMA(codebook_size, dim, decay=decay, commitment=commitment, reset=reset) for _ in range(n_codebooks)
        )

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            points = z.to(work_dtype(self._first.codebook))
            residual, total, loss, indices = points, torch.zeros_like(points), points.new_zeros(()), []
            for layer in self.layers:
                result: Quantized = layer(residual, mask)
                found = result.codes.detach().to(points.dtype)
                residual, total, loss = residual - found, total + found, loss + result.loss
                indices.append(result.indices)
            codes = straight_through(points, total)
        return Quantized(codes.to(self._first.codebook.dtype), torch.stack(indices, dim=-1), loss)  # [...] -> [..., Q]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        total = torch.zeros((), dtype=work_dtype(self._first.codebook), device=indices.device)
        for layer, part in zip(self.layers, indices.unbind(-1), strict=True):
            total = total + cast(VQEMA, layer).indices_to_codes(part)
        return total.to(self._first.codebook.dtype)

    @property
    def _first(self) -> VQEMA:
        return cast(VQEMA, self.layers[0])


class ResidualFSQ(FSQ):
    """FSQ with Q - 1 further digits in each dimension. Its first index is that of `FSQ` with the same weights.

    Args:
        levels: number of levels of each dimension, in every codebook.
        dim: D.
        n_codebooks: Q.

    >>> rfsq = ResidualFSQ((8, 5), dim=4, n_codebooks=3)
    >>> rfsq(torch.randn(2, 50, 4)).indices.shape
    torch.Size([2, 50, 3])
    """

    def __init__(self, levels: Sequence[int], dim: int, *, n_codebooks: int = 2) -> None:
        super().__init__(levels, dim)
        _check_count(n_codebooks)
        self.n_codebooks = n_codebooks

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            bounded = self.bound(exact_linear(self.project_in, z))  # [..., D] -> [..., d]
            indices = self.bounded_to_indices(bounded.detach())  # [..., d] -> [..., Q]
            steps = self.indices_to_implicit(indices) * (self.levels // 2)  # [..., Q] -> [..., d]
            steps = torch.where(bounded.isnan(), bounded.detach(), steps.to(bounded.dtype))  # NaN stays to be seen
            implicit = straight_through(bounded, steps) / (self.levels // 2)
            codes = exact_linear(self.project_out, implicit)  # [..., d] -> [..., D]
        return Quantized(codes.to(self.project_out.weight.dtype), indices, codes.new_zeros(()))

    def bounded_to_indices(self, bounded: Tensor) -> Tensor:
        """Bounded numbers `[..., d]` to Q indices `[..., Q]`."""
        steps = bounded.round()
        indices, residual = [self.steps_to_indices(steps)], bounded - steps
        for _ in range(self.n_codebooks - 1):
            cell = (residual * self.levels + self.levels / 2).floor()
            cell = (
                cell.nan_to_num(0.0).clamp(min=0).minimum(self.levels - 1)
            )  # a residual of exactly 1/2 is in the last
            indices.append((cell.long() * self.basis).sum(-1))
            residual = residual * self.levels - (cell + 0.5 - self.levels / 2)
        return torch.stack(indices, dim=-1)

    def indices_to_implicit(self, indices: Tensor) -> Tensor:
        """Indices `[..., Q]` to the d numbers that each token represents, `[..., d]`."""
        first, *others = indices.unbind(-1)
        value = super().indices_to_implicit(first)  # [...] -> [..., d]
        width = value.new_ones(()) / (self.levels // 2)  # of one step, [d]
        for index in others:
            cell = index.unsqueeze(-1) // self.basis % self.levels  # [...] -> [..., d]
            width = width / self.levels
            value = value + (cell + 0.5 - self.levels / 2) * width
        return value

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, n_codebooks={self.n_codebooks}"


def _check_count(n_codebooks: int) -> None:
    if n_codebooks < 1:
        raise InputError("n_codebooks", found=n_codebooks, expected="1 or more", fix="2 to 8 are usual.")
