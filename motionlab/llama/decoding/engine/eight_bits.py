"""Weights as whole numbers of 7 bits and sign-free inputs of 8 bits: a quarter of the memory to read for each token.

A row of a weight is divided by one number, its scale, and rounded. The input of a product is rounded when the product
is computed ("dynamic": each call has its own scale), and sums are whole numbers of 32 bits, so that rounding is the
only error.  Jacob et al., "Quantization and training of neural networks", arXiv:1712.05877, section 2.

One scale serves all rows of a batch, so the tokens of a row may depend on the others; with float32 they do not.

Why 7 bits and not 8: processors without VNNI add two products in 16 bits. `2 * 255 * 63` fits there, `2 * 255 * 127`
does not and would be cut off in silence. With 7 bits every processor computes the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 63


def to_whole_numbers(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a weight `[outputs, inputs]` to int8 from -63 to 63, and float32 scales `[outputs]`.

    >>> numbers, scale = to_whole_numbers(torch.tensor([[1.0, -0.4], [0.0, 0.0]]))
    >>> numbers
    tensor([[ 63, -25],
            [  0,   0]], dtype=torch.int8)
    >>> (numbers * scale[:, None]).round(decimals=3)
    tensor([[ 1.0000, -0.3970],
            [ 0.0000,  0.0000]])
    """
    largest = weight.abs().amax(1)  # [outputs]
    scale = torch.where(largest > 0, largest, torch.ones_like(largest)) / LARGEST  # a row of zeros stays zero
    return (weight / scale[:, None]).round().to(torch.int8), scale
