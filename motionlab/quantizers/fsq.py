"""Finite scalar quantization: squeeze a vector to a few numbers, round each to a few levels.

Mentzer et al. 2023, "Finite Scalar Quantization: VQ-VAE Made Simple" (arXiv 2309.15505). There is no codebook to learn
and so none that can die: the codes are all combinations of the levels. With levels (8, 8, 8, 5, 5, 5) these are 64,000.
The encoder can fall silent, though: with large first steps its numbers leave the range in which tanh bends, and no
gradient reaches it. A warm-up makes that rarer (the appendix of lesson 03 measures it).

Notation: D = `dim`, d = `len(levels)`, L_i the number of levels in dimension i, K = product of the L_i.

Per dimension (the bound that the published tokenizer uses, eps = 1e-3):

    h = (L - 1)(1 + eps) / 2      half the range; eps keeps o / h below 1 for L = 2
    o = 0.5 if L is even else 0   an even number of levels cannot be symmetric about 0
    bound(z) = tanh(z + atanh(o / h)) * h - o        so bound(0) = 0
    step = round(bound(z))        an integer in -(L // 2) .. (L - 1) // 2
    code = step / (L // 2)        in -1 .. 1

The paper's appendix has (1 - eps) in h and tan instead of atanh; thresholds differ by less than 0.01 for L >= 5.

The index counts in mixed radix and the first dimension runs fastest: `sum_i (step_i + L_i // 2) * (L_1 ... L_{i-1})`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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

EPS = 1e-3


class FSQ(Quantizer):
    """Finite scalar quantizer with a linear map in and out.

    Args:
        levels: number of levels of each dimension, each 2 to 512.
        dim: D, width of the vectors that come in and go out.

    >>> fsq = FSQ((8, 5, 5, 5), dim=16)
    >>> fsq.codebook_size
    1000
    >>> out = fsq(torch.zeros(2, 3, 16))
    >>> out.codes.shape, out.indices.shape, float(out.loss)
    (torch.Size([2, 3, 16]), torch.Size([2, 3]), 0.0)
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: Sequence[int], dim: int) -> None:
        super().__init__()
        if not levels or not all(2 <= level <= 512 for level in levels):
            raise InputError(
                "levels", found=tuple(levels), expected="one or more integers from 2 to 512", fix="Change the levels."
            )
        self.dim = dim
        self.codebook_size = math.prod(levels)
        self.project_in = nn.Linear(dim, len(levels))
        self.project_out = nn.Linear(len(levels), dim)
        # Integers, and not saved: they follow from the arguments, and .half() cannot spoil them.
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        basis = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def bound(self, z: Tensor) -> Tensor:
        """Squeeze `z [..., d]` so that rounding gives exactly L_i different integers."""
        half = (self.levels - 1).to(z.dtype) * ((1 + EPS) / 2)
        offset = (1 - self.levels % 2).to(z.dtype) * 0.5
        return torch.tanh(z + torch.atanh(offset / half)) * half - offset

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        check_vectors(z, self.dim)
        with full_precision(z):
            bounded = self.bound(exact_linear(self.project_in, z))  # [..., D] -> [..., d]
            steps = bounded.detach().round()
            indices = self.steps_to_indices(steps)  # [..., d] -> [...]
            implicit = self.straighten(bounded, steps) / (self.levels // 2)
            codes = exact_linear(self.project_out, implicit)  # [..., d] -> [..., D]
        return Quantized(codes.to(self.project_out.weight.dtype), indices, codes.new_zeros(()))

    def straighten(self, bounded: Tensor, steps: Tensor) -> Tensor:
        """Values used for the rounded numbers `steps [..., d]` in training: themselves, with a straight gradient."""
        return straight_through(bounded, steps)

    def steps_to_indices(self, steps: Tensor) -> Tensor:
        """Integers `[..., d]` around 0 to indices `[...]`, in int64 arithmetic; NaN counts as 0."""
        return ((steps.round().nan_to_num(0.0).long() + self.levels // 2) * self.basis).sum(-1)

    def indices_to_implicit(self, indices: Tensor) -> Tensor:
        """Indices `[...]` to the d numbers in -1..1 that each represents, `[..., d]`."""
        half = self.levels // 2
        steps = indices.unsqueeze(-1) // self.basis % self.levels - half  # [...] -> [..., d]
        return steps.to(work_dtype(self.project_out.weight)) / half

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        codes = exact_linear(self.project_out, self.indices_to_implicit(indices))
        return codes.to(self.project_out.weight.dtype)

    def extra_repr(self) -> str:
        return f"levels={tuple(self.levels.tolist())}, codebook_size={self.codebook_size}"
