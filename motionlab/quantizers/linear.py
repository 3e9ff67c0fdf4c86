"""The linear maps of the quantizers: exact, and on a CPU made for one wide side and one narrow one.

Notation: B batch, N tokens, W wide (512 in the published tokenizer), d narrow (6).

    y = x A^T + b        grad_x = g A        grad_A = g^T x        grad_b = sum of g

With d = 6 there is little to compute: the time goes into reading and writing the wide tensors. `nn.Linear` does that
more often than it must. It fills the wide result with b before it adds x A^T, it reads the wide gradient once each for
grad_x, grad_A and grad_b, and it copies a tensor whose channels come first. Here b is one more column of A, which meets
a row of ones on the narrow side; a wide tensor is taken, and given, in the layout that it has; a narrow one always has
its channels first, `[B, d, N]`, which suits products and rounding alike; and the wide gradient is read once, in blocks.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motionlab.quantizers.base import full_precision, work_dtype

MIN_TOKENS = 16  # of a clip; with fewer, a product for each clip costs more than it saves
BLOCK = 1 << 18  # numbers of the wide gradient in one block and thread: 1 MiB in float32


def exact_linear(layer: nn.Linear, x: Tensor, like: Tensor | None = None) -> Tensor:
    """Apply `layer` to `x [..., in]` in float32 or better, whatever the dtype of both.

    On a CPU, `x [B, N, in]` takes the fast path described above, and a wide result has the layout of `like`. Elsewhere,
    and for other shapes, this is `nn.Linear`.

    >>> z = torch.randn(2, 512, 20).transpose(1, 2)  # [B, N, W] with the channels first in memory
    >>> y = exact_linear(nn.Linear(6, 512), torch.randn(2, 20, 6), like=z)
    >>> y.shape, y.stride() == z.stride()
    (torch.Size([2, 20, 512]), True)
    """
    dtype = work_dtype(layer.weight)
    weight, bias, x = layer.weight.to(dtype), None if layer.bias is None else layer.bias.to(dtype), x.to(dtype)
    if bias is None or x.device.type != "cpu" or x.ndim != 3 or x.shape[1] < MIN_TOKENS:
        return F.linear(x, weight, bias)
    if len(weight) <= weight.shape[1]:
        narrow: Tensor = _Narrow.apply(x, weight, bias)
        return narrow
    wide: Tensor = _Widen.apply(x, weight, bias, like is not None and _channels_first(like))
    return wide


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = _dense(x)
        ctx.save_for_backward(x, weight)
        return _to_narrow(x, weight).add_(bias.unsqueeze(1)).transpose(1, 2)  # [B, d, N] -> [B, N, d]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        g = gradients[0].transpose(1, 2).contiguous()  # [B, N, d] -> [B, d, N]
        with full_precision(g):
            grad_x = _to_wide(g, weight.t(), _channels_first(x)) if ctx.needs_input_grad[0] else None
            return grad_x, _over_tokens(g, x), g.sum((0, 2))


class _Widen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, channels_first: bool) -> Tensor:
        x = F.pad(x.transpose(1, 2).contiguous(), (0, 0, 0, 1), value=1.0)  # [B, N, d] -> [B, d + 1, N]
        ctx.save_for_backward(x, weight)
        return _to_wide(x, torch.cat([weight, bias.unsqueeze(1)], dim=1), channels_first)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        g = _dense(gradients[0])  # [B, N, W]
        clips = max(1, BLOCK * torch.get_num_threads() // max(1, g[:1].numel()))
        grad_x, both = [], g.new_zeros(x.shape[1], g.shape[2])  # [d + 1, W]
        with full_precision(g):
            for x_block, g_block in zip(x.split(clips), g.split(clips), strict=True):
                grad_x.append(_to_narrow(g_block, weight.t()))
                both += _over_tokens(x_block, g_block)
        return torch.cat(grad_x).transpose(1, 2), both[:-1].t(), both[-1], None


def _to_narrow(x: Tensor, weight: Tensor) -> Tensor:
    """x A^T for the wide `x [B, N, W]` and `weight [d, W]`: `[B, d, N]`."""
    return torch.bmm(weight.expand(len(x), -1, -1), x.transpose(1, 2))


def _to_wide(x: Tensor, weight: Tensor, channels_first: bool) -> Tensor:
    """x A^T for the narrow `x [B, d, N]` and `weight [W, d]`: `[B, N, W]`, in the requested layout."""
    if channels_first:
        return torch.bmm(weight.expand(len(x), -1, -1), x).transpose(1, 2)
    return torch.bmm(x.transpose(1, 2), weight.t().expand(len(x), -1, -1))


def _over_tokens(narrow: Tensor, wide: Tensor) -> Tensor:
    """The product of `[B, d, N]` and `[B, N, W]`, summed over all tokens: `[d, W]`."""
    if _channels_first(wide):
        return torch.bmm(wide.transpose(1, 2), narrow.transpose(1, 2)).sum(0).t()
    return torch.bmm(narrow, wide).sum(0)


def _channels_first(x: Tensor) -> bool:
    """Whether `x [B, N, W]` is a view of a contiguous `[B, W, N]`, as convolutions give it."""
    return x.ndim == 3 and not x.is_contiguous() and x.transpose(1, 2).is_contiguous()


def _dense(x: Tensor) -> Tensor:
    return x if _channels_first(x) else x.contiguous()
