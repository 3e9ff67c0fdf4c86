"""The interface of every quantizer: vectors in; codes, indices and a loss out.

Notation: B batch, N tokens, D = `dim` (width of a vector), K = `codebook_size`, Q = `n_codebooks`.

Quantizing is an island of exact numbers. bf16 has 8 significant bits: it holds 256 but not 257, and rounding a value in
bf16 before rounding it to a code can give another code. So every quantizer computes in float32 (or in float64 for a
float64 model) even inside `torch.autocast`, and indices are int64.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.errors import InputError
from motionlab.quantizers.usage import CodeUsage


class Quantized(NamedTuple):
    """The result of quantizing.

    Fields:
        codes: `[..., D]`, the vectors the decoder sees; the gradient passes straight through to the input.
        indices: `[...]` int64 in `0..K-1`; `[..., Q]` from a quantizer with several codebooks.
        loss: scalar, already weighted; 0 where the quantizer needs no loss.
    """

    codes: Tensor
    indices: Tensor
    loss: Tensor


class Quantizer(nn.Module, ABC):
    """Maps each vector to one of `codebook_size` codes, or to one code of each of `n_codebooks` codebooks.

    Attributes:
        dim: D, the width of the vectors.
        codebook_size: K, the number of codes of one codebook that really exist (64,000 for the entry 65,536 of FSQ).
        n_codebooks: Q. Indices are `[...]` when it is 1, and `[..., Q]` when it is more (residual quantizers).
    """

    dim: int
    codebook_size: int
    n_codebooks: int = 1

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[Tensor, Tensor | None] | None = None

    @abstractmethod
    def forward(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        """Quantize `z [..., D]`. `mask [...]` is true where a vector is real; padding teaches nothing."""

    @abstractmethod
    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Look up indices `[...]`, or `[..., Q]` when Q > 1, and return codes `[..., D]`, as `forward` gives them."""

    @property
    def bits(self) -> float:
        """Bits that one token can carry: Q log2 K."""
        return self.n_codebooks * math.log2(self.codebook_size)

    @property
    def usage(self) -> CodeUsage:
        """Counts of the codes of the last batch, padding left out; empty before the first one.

        Nothing is counted before it is needed, so a training step pays for it only when the numbers are shown. For a
        whole data set, make one `CodeUsage(quantizer.codebook_size, quantizer.n_codebooks)` and `update` it.
        """
        usage = CodeUsage(self.codebook_size, self.n_codebooks)
        if self._last is not None:
            usage.update(*self._last)
        return usage

    def __call__(self, z: Tensor, mask: Tensor | None = None) -> Quantized:
        result: Quantized = super().__call__(z, mask)
        self._last = (result.indices, mask)
        return result


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, quantized: Tensor) -> Tensor:
        return quantized.view_as(quantized)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def straight_through(value: Tensor, quantized: Tensor) -> Tensor:
    """Return `quantized` exactly, and pass the gradient to `value` as if nothing had been rounded.

    Bengio et al. 2013 (arXiv 1308.3432). The usual spelling `value + (quantized - value).detach()` has the same
    gradient, but its result is off by a rounding error, so a code that should be 0.25 can come out as 0.25000003.

    >>> x = torch.tensor([0.3, 1.8], requires_grad=True)
    >>> y = straight_through(x, x.round())
    >>> y.sum().backward(); y.tolist(), x.grad.tolist()
    ([0.0, 2.0], [1.0, 1.0])
    """
    result: Tensor = _StraightThrough.apply(value, quantized)
    return result


def full_precision(tensor: Tensor) -> contextlib.AbstractContextManager[None]:
    """Switch autocast off for the device of `tensor`: an explicit number island."""
    if torch.amp.is_autocast_available(tensor.device.type):
        return torch.autocast(tensor.device.type, enabled=False)
    return contextlib.nullcontext()


def work_dtype(weight: Tensor) -> torch.dtype:
    """The dtype to compute in: that of the weight, and never below float32."""
    return torch.promote_types(weight.dtype, torch.float32)


def exact_linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply `layer` to `x [..., in]` in its `work_dtype`, whatever the dtype of `x`, and inside of autocast too.

    >>> exact_linear(nn.Linear(6, 512).bfloat16(), torch.zeros(2, 20, 6)).dtype
    torch.float32
    """
    dtype = work_dtype(layer.weight)
    bias = None if layer.bias is None else layer.bias.to(dtype)
    with full_precision(x):
        return F.linear(x.to(dtype), layer.weight.to(dtype), bias)


def mean_square(z: Tensor, codes: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of (z - codes)^2 over the real vectors `[..., D]`; 0 when all is padding. Gradients go to both.

    Padding takes no part even where it holds NaN.
    """
    count: Tensor | int = max(z.numel(), 1)  # of nothing the mean is 0 and not NaN
    if mask is not None:
        padding = ~mask.unsqueeze(-1)
        z, codes = z.masked_fill(padding, 0.0), codes.masked_fill(padding, 0.0)
        count = (mask.sum() * z.shape[-1]).clamp(min=1)
    return F.mse_loss(z, codes, reduction="sum") / count


def check_vectors(z: Tensor, dim: int) -> None:
    """Raise `InputError` unless `z` is `[..., dim]`."""
    if z.shape[-1:] != (dim,):
        raise InputError(
            "quantizer input",
            found=f"shape {tuple(z.shape)}",
            expected=f"(..., {dim})",
            fix="Give vectors of the quantizer's dim in the last axis.",
        )
