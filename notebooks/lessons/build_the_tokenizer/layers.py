"""The layers of lesson 19: convolution over time, residual block and doubling, each with the check of its exercise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.shared.answers import Function, first_match, normal, short


# ---- a convolution over time -----------------------------------------------------------------------------------------
def convolve(x: Tensor, weight: Tensor, bias: Tensor, stride: int, dilation: int, sides: int) -> Tensor:
    """Slide a kernel of k frames along a clip.

    Args:
        x: `[T, in]`.
        weight: `[out, in, k]`.
        bias: `[out]`.
        stride: frames from one place of the kernel to the next.
        dilation: frames from one tap of the kernel to the next.
        sides: zeros in front of the clip and after it.

    Returns:
        `[T', out]`.
    """
    x, reach = F.pad(x, (0, 0, sides, sides)), (weight.shape[2] - 1) * dilation  # [T + 2 sides, in]
    places = range(0, len(x) - reach, stride)
    seen = torch.stack([x[t : t + reach + 1 : dilation] for t in places])  # [T', k, in]
    return torch.einsum("tki,oik->to", seen, weight) + bias  # [T', out]


def diagnose_convolve(function: Function) -> str | None:
    x, weight, bias = normal(9, 3), normal(4, 3, 3, seed=1), normal(4, seed=2)
    y = function(x.clone(), weight.clone(), bias.clone(), 1, 1, 1)
    if not isinstance(y, Tensor) or y.dim() != 2 or y.shape[1] != 4:
        found = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        return f"9 frames of 3 numbers and a kernel [4, 3, 3] should give [9, 4], got {found}."
    none = torch.zeros(4)
    mistakes = {
        "the kernel runs backwards: tap 0 belongs to the EARLIEST frame. (A convolution of mathematics flips it, "
        "those of neural networks do not.)": convolve(x, weight.flip(2), bias, 1, 1, 1),
        "the bias is missing.": convolve(x, weight, none, 1, 1, 1),
        "no zeros were put at the ends: 9 frames should give 9.": convolve(x, weight, bias, 1, 1, 0),
        "all zeros are in front. Put `sides` of them in front and as many after the clip.": convolve(
            F.pad(x, (0, 0, 1, -1)), weight, bias, 1, 1, 1
        ),
        "only the middle tap is used.": x @ weight[:, :, 1].T + bias,
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if len(y) != 9:
        return f"9 frames, a kernel of 3 and a zero on each side give 9 frames, got {len(y)}."
    if not torch.allclose(y, convolve(x, weight, bias, 1, 1, 1), atol=1e-5):
        return f"frame 4 should become {short(convolve(x, weight, bias, 1, 1, 1)[4])}, got {short(y[4])}."
    wide = function(x.clone(), weight, bias, 1, 3, 3)
    if wide.shape != (9, 4) or not torch.allclose(wide, convolve(x, weight, bias, 1, 3, 3), atol=1e-5):
        return "right for dilation 1. With dilation 3 the taps are 3 frames apart: x[t], x[t + 3], x[t + 6]."
    half = function(normal(10, 3), normal(4, 3, 4, seed=1), bias, 2, 1, 1)
    right = convolve(normal(10, 3), normal(4, 3, 4, seed=1), bias, 2, 1, 1)
    if half.shape != right.shape:
        return f"with stride 2 and a kernel of 4, 10 frames should give 5, got {len(half)}."
    if not torch.allclose(half, right, atol=1e-5):
        return "right for stride 1. With stride 2 the kernel stands at the frames 0, 2, 4, ... of the padded clip."
    return None


# ---- the residual block ----------------------------------------------------------------------------------------------
def residual(
    x: Tensor, norm_1: Function, wide: Function, norm_2: Function, narrow: Function, activation: Function
) -> Tensor:
    """Norm, activation, dilated convolution; norm, activation, convolution of size 1; all of it added to x `[T, C]`."""
    h = wide(activation(norm_1(x)))
    h = narrow(activation(norm_2(h)))
    x = x + h
    return x


def diagnose_residual(function: Function) -> str | None:
    x = torch.tensor([[1.0, -2.0, 4.0]])
    parts = (
        (lambda v: v / 2),
        (lambda v: v.flip(-1) + 1),
        (lambda v: v - 3),
        (lambda v: 6 - v),
        (lambda v: v.square() + 1),
    )
    n1, wide, n2, narrow, act = parts
    y = function(x.clone(), *parts)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        return f"the result should be a tensor of shape {tuple(x.shape)}, like x."
    right = residual(x, *parts)
    mistakes = {
        "x is not added: without the way around it, six layers are hard to train.": right - x,
        "the activation comes before the norm. First the norm, then the activation.": x
        + narrow(n2(act(wide(n1(act(x)))))),
        "there is no activation, so both convolutions are one linear map.": x + narrow(n2(wide(n1(x)))),
        "the activation comes after each convolution (the order of 2015). Here it comes before.": x
        + act(narrow(n2(act(wide(n1(x)))))),
        "the second activation is missing.": x + narrow(n2(wide(act(n1(x))))),
        "the first activation is missing.": x + narrow(act(n2(wide(n1(x))))),
        "the two convolutions are exchanged.": x + wide(act(n2(narrow(act(n1(x)))))),
        "the two norms are exchanged.": x + narrow(act(n1(wide(act(n2(x)))))),
        "the norms are not used.": x + narrow(act(wide(act(x)))),
        "an activation after the sum would let no negative number pass on.": F.relu(right),
        "the normalised x is added, not x itself.": n1(x) + narrow(act(n2(wide(act(n1(x)))))),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if not torch.allclose(y, right):
        return f"the check's x = {short(x[0])} should become {short(right[0])}, got {short(y[0])}."
    return None


# ---- twice as many frames --------------------------------------------------------------------------------------------
def double(x: Tensor) -> Tensor:
    """Each vector twice in a row: `[N, C]` -> `[2N, C]`."""
    return x.repeat_interleave(2, dim=0)


def diagnose_double(function: Function) -> str | None:
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    y = function(x.clone())
    if not isinstance(y, Tensor):
        return f"the result should be a tensor of shape (6, 2), got {type(y).__name__}."
    if y.shape == (3, 4):
        return "the channels were doubled. Double the frames, dimension 0."
    if y.shape != (6, 2):
        return f"3 vectors should become 6, got shape {tuple(y.shape)}."
    zeros = torch.stack([x, torch.zeros_like(x)], dim=1).flatten(0, 1)
    mistakes = {
        "the whole clip twice. Each vector twice: 1 1 2 2 3 3.": x.repeat(2, 1),
        "zeros between the frames. Show each vector twice.": zeros,
        "the order is reversed.": double(x).flip(0),
    }
    if sentence := first_match(y, mistakes):
        return sentence
    if not torch.equal(y, double(x)):
        return f"the first channel should be 1 1 2 2 3 3, got {' '.join(f'{value:g}' for value in y[:, 0].tolist())}."
    return None
