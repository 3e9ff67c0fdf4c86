"""The layers of lesson 18 around attention: norm, gated layer and block, each with the check of its exercise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.shared.answers import Function, first_match, normal, short


# ---- the norm -----------------------------------------------------------------------------------------------------
def rms_norm(x: Tensor, scale: Tensor, eps: float) -> Tensor:
    """Divide each vector `[..., dim]` by the root of its mean square, then multiply by `scale [dim]`."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * scale


def diagnose_norm(function: Function) -> str | None:
    x, scale = 3 * normal(2, 3, 4) + 1, torch.tensor([1.0, 2.0, -1.0, 0.5])
    y = function(x.clone(), scale.clone(), 1e-5)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like x."
    square = x.pow(2)
    centred = x - x.mean(-1, keepdim=True)
    mistakes = {
        "nothing is divided: only the scale is there.": x * scale,
        "the scale is missing.": rms_norm(x, torch.ones(4), 1e-5),
        "this is LayerNorm: RMSNorm subtracts no mean.": centred / centred.pow(2).mean(-1, keepdim=True).sqrt() * scale,
        "you divided by the length of the vector, which is the root of the SUM of the squares. Take their mean.": x
        / square.sum(-1, keepdim=True).sqrt()
        * scale,
        "you divided by the mean square. Take its root.": x / square.mean(-1, keepdim=True) * scale,
        "one mean for the whole tensor: each position must be divided by its own, over the last dimension.": x
        / square.mean().sqrt()
        * scale,
        "the mean runs over the positions. Take it over the last dimension.": x
        / square.mean(1, keepdim=True).sqrt()
        * scale,
        "multiplied by the root instead of divided.": x * square.mean(-1, keepdim=True).sqrt() * scale,
    }
    if sentence := first_match(y, mistakes):
        return sentence
    right = rms_norm(x, scale, 1e-5)
    if not torch.allclose(y, right, atol=1e-5):
        return f"the first vector should become {short(right[0, 0])}, got {short(y[0, 0])}."
    if not torch.allclose(function(1e-4 * x, scale, 1e-2), rms_norm(1e-4 * x, scale, 1e-2), rtol=1e-3):
        return "right for large vectors. For tiny ones eps matters: it is added to the mean square, under the root."
    return None


# ---- the gated layer ----------------------------------------------------------------------------------------------
def swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """`down (silu(gate x) * up x)`; gate and up are `[hidden, dim]`, down is `[dim, hidden]`."""
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def diagnose_swiglu(function: Function) -> str | None:
    x, gate, up, down = normal(2, 3, 4), normal(6, 4, seed=1), normal(6, 4, seed=2), normal(4, 6, seed=3)
    y = function(x.clone(), gate.clone(), up.clone(), down.clone())
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like x."
    a, b = x @ gate.T, x @ up.T
    mistakes = {
        "silu is on the wrong branch: it belongs to the gate.": (a * F.silu(b)) @ down.T,
        "this gate is a sigmoid (the first GLU). silu(a) is a * sigmoid(a).": (torch.sigmoid(a) * b) @ down.T,
        "this is ReLU (ReGLU). SwiGLU gates with silu.": (F.relu(a) * b) @ down.T,
        "this is GELU (GeGLU). SwiGLU gates with silu.": (F.gelu(a) * b) @ down.T,
        "the two branches are added. The gate multiplies.": (F.silu(a) + b) @ down.T,
        "the second branch is missing: this is an ordinary layer with silu.": F.silu(a) @ down.T,
        "the gate is linear: silu is missing.": (a * b) @ down.T,
        "silu is applied to the product. It belongs to the gate only.": F.silu(a * b) @ down.T,
    }
    if sentence := first_match(y, mistakes):
        return sentence
    right = swiglu(x, gate, up, down)
    if not torch.allclose(y, right, atol=1e-5):
        return f"the first vector should become {short(right[0, 0])}, got {short(y[0, 0])}."
    return None


# ---- the block ----------------------------------------------------------------------------------------------------
def block(x: Tensor, norm_1: Function, attention: Function, norm_2: Function, mlp: Function) -> Tensor:
    """One layer: add what attention finds, then add what the gated layer makes of it. Both read a normalised copy."""
    x = x + attention(norm_1(x))
    x = x + mlp(norm_2(x))
    return x


def diagnose_block(function: Function) -> str | None:
    x = torch.tensor([[1.0, 2.0, 4.0]])
    n1, att, n2, mlp = (lambda v: v / 2), (lambda v: v.flip(-1)), (lambda v: v - 1), (lambda v: v.square())
    y = function(x.clone(), n1, att, n2, mlp)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like x."
    first = x + att(n1(x))
    mistakes = {
        "the result of attention is not added to x: the stream is lost.": att(n1(x)) + mlp(n2(att(n1(x)))),
        "the result of the gated layer is not added to the stream.": mlp(n2(first)),
        "nothing is added: this is a chain of layers, without a residual stream.": mlp(n2(att(n1(x)))),
        "both parts read the same x (a parallel block, as in GPT-J). Here the second reads what the first wrote.": x
        + att(n1(x))
        + mlp(n2(x)),
        "the norms come after the addition (post-norm, as in 2017): the stream itself is normalised.": n2(
            n1(x + att(x)) + mlp(n1(x + att(x)))
        ),
        "the stream itself was normalised. Only the copy that a part reads is.": n2(n1(x) + att(n1(x)))
        + mlp(n2(n1(x) + att(n1(x)))),
        "the norms are not used.": x + att(x) + mlp(x + att(x)),
        "attention and gated layer are exchanged.": x + mlp(n1(x)) + att(n2(x + mlp(n1(x)))),
        "the two norms are exchanged.": x + att(n2(x)) + mlp(n1(x + att(n2(x)))),
        "the gated layer is missing.": first,
        "in the second line the original x is added, not the sum so far.": x + mlp(n2(first)),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    right = block(x, n1, att, n2, mlp)
    if not torch.allclose(y, right):
        return f"the check's x = {short(x[0])} should become {short(right[0])}, got {short(y[0])}."
    return None
