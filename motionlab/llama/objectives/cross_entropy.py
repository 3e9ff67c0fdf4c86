"""Cross entropy over a large vocabulary without ever holding all logits.

With 64,000 codes, one batch of 8 x 256 tokens has half a gigabyte of logits, as much again of probabilities, and as
much again of gradients. Here the labelled positions are taken in chunks. A chunk's gradient is known as soon as its
logits are (softmax minus one-hot), so it is multiplied into the gradients of `hidden` and `weight` at once and thrown
away. The same products are done as in the plain way, none twice.  (The idea of Cut Cross-Entropy, arXiv:2411.09009, and
of Liger's fused loss, arXiv:2410.10989, in plain torch.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_NUMBERS = 2**24
"""Logits at a time, 64 MiB in float32: large enough for a fast matrix product."""


def chunked_cross_entropy(
    hidden: Tensor, weight: Tensor, labels: Tensor, label_smoothing: float = 0.0, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropies of `hidden @ weight.T`, and how many labels were the most likely token.

    Args:
        hidden: `[n, dim]`; weight: `[V, dim]`; labels: int64 `[n]`, all in 0..V-1.
        label_smoothing: share of the target given to all tokens alike.
        chunk: positions at a time; None is what makes `CHUNK_NUMBERS` logits.

    Returns:
        the sum in nats, with gradient for `hidden` and `weight`; the number of hits, without.

    >>> loss, hits = chunked_cross_entropy(torch.zeros(3, 2), torch.zeros(4, 2), torch.tensor([0, 1, 2]))
    >>> loss, hits  # 3 log 4; of equal logits the first wins
    (tensor(4.1589), tensor(1))
    """
    chunk = chunk or max(1, CHUNK_NUMBERS // len(weight))
    total: Tensor
    hits: Tensor
    total, hits = _ChunkedCrossEntropy.apply(hidden, weight, labels, label_smoothing, chunk)
    return total, hits


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, smoothing: float, chunk: int
    ) -> tuple[Tensor, Tensor]:
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        vocabulary = len(weight)
        table = weight.to(dtype)  # [V, dim]; a copy under autocast only
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight) if wants_weight else None
        total = torch.zeros((), device=hidden.device)
        hits = torch.zeros((), device=hidden.device, dtype=torch.long)
        for start in range(0, len(hidden), chunk):
            rows = slice(start, start + chunk)
            h, label = hidden[rows].to(dtype), labels[rows, None]  # [c, dim], [c, 1]
            logits = (h @ table.T).float()  # [c, V]; from here on one buffer, changed in place
            best, place = logits.max(1)  # [c]
            hits += (place == label[:, 0]).sum()
            logits -= best[:, None]  # no exponential can overflow
            target = logits.gather(1, label)  # [c, 1]
            mean = logits.mean(-1, keepdim=True) if smoothing else 0.0
            sums = logits.exp_().sum(-1, keepdim=True)  # [c, 1]
            total += (sums.log() - (1 - smoothing) * target - smoothing * mean).sum()
            if grad_hidden is None and grad_weight is None:
                continue
            # d loss / d logits = softmax - (1 - smoothing) one_hot - smoothing / V
            gradient = logits.div_(sums)
            if smoothing:
                gradient -= smoothing / vocabulary
            gradient.scatter_add_(1, label, torch.full_like(target, smoothing - 1))
            gradient = gradient.to(dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = gradient @ table
            if grad_weight is not None:
                if dtype == grad_weight.dtype:
                    grad_weight.addmm_(gradient.T, h)  # product and sum in one
                else:
                    grad_weight += gradient.T @ h  # under autocast: the product in bf16, the sum in float32
            del logits, gradient  # or this chunk would still be there while the next one is made
        # Kept as attributes, not by save_for_backward, so that `backward` can return them without a copy.
        ctx.gradients = grad_hidden, grad_weight
        ctx.mark_non_differentiable(hits)
        return total, hits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradients of chunked_cross_entropy can be taken once; call it again")
        (grad_hidden, grad_weight), ctx.gradients = ctx.gradients, None
        for part in (grad_hidden, grad_weight):
            if part is not None:
                part.mul_(gradients[0])
        return grad_hidden, grad_weight, None, None, None
