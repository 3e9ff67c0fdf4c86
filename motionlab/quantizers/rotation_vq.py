"""Vector quantization whose gradient is rotated, not copied: the rotation trick.

Fifty et al. 2024, "Restructuring Vector Quantization with the Rotation Trick" (arXiv 2410.06424, section 4).

The code q that replaces a vector e can be written as a rotation and a stretch of it, both taken as constants:

    q = lambda R e       lambda = |q| / |e|       R = I - 2 r r^T + 2 q' e'^T
    e' = e / |e|,  q' = q / |q|,  r = (e' + q') / |e' + q'|

so the gradient g at q arrives at e as lambda R^T g = lambda (g - 2 r (r.g) + 2 e' (q'.g)). Straight-through passes g on
unchanged. Rotated, it keeps its angle: a push outward on q pushes e outward, wherever in its cell e lies.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from motionlab.quantizers.vq_ema import VQEMA


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, quantized: Tensor) -> Tensor:
        ctx.save_for_backward(value, quantized)
        return quantized.view_as(quantized)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        value, quantized = ctx.saved_tensors
        (gradient,) = gradients
        tiny = torch.finfo(value.dtype).tiny
        length, target = (x.norm(dim=-1, keepdim=True).clamp(min=tiny) for x in (value, quantized))  # [..., 1]
        e, q = value / length, quantized / target
        r = F.normalize(e + q, dim=-1)
        rotated = gradient - 2 * r * (r * gradient).sum(-1, keepdim=True) + 2 * e * (q * gradient).sum(-1, keepdim=True)
        return rotated * (target / length), None


def rotate_through(value: Tensor, quantized: Tensor) -> Tensor:
    """Return `quantized [..., D]` exactly, and pass the gradient to `value [..., D]` rotated and stretched.

    >>> e = torch.tensor([1.0, 0.0], requires_grad=True)
    >>> q = rotate_through(e, torch.tensor([0.0, 2.0]))
    >>> q[1].backward()
    >>> e.grad.round(decimals=4).tolist()  # "longer" at q becomes "longer" at e
    [2.0, 0.0]
    """
    result: Tensor = _Rotate.apply(value, quantized)
    return result


class RotationVQ(VQEMA):
    """Vector quantizer with a moving-average codebook and the rotation trick.

    Args: those of `VQEMA`.
    """

    def _connect(self, points: Tensor, codes: Tensor) -> Tensor:
        return rotate_through(points, codes)
