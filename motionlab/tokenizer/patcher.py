"""Patches of frames: a Haar wavelet puts p frames into one, with p times the channels, and loses nothing.

Haar 1910; as a front end of tokenizers: NVIDIA Cosmos (arXiv 2501.03575), and MotionMillion (arXiv 2507.07095) for
motion. One level takes neighbouring frames a, b to their scaled sum and difference:

    low  = (a + b) / (2 sqrt 2)        high = (a - b) / (2 sqrt 2)         all low channels, then all high ones
    a    = (low + high) sqrt 2         b    = (low - high) sqrt 2

p = 2, 4, 8 are 1, 2, 3 levels, and each level transforms all channels of the one before (a wavelet packet). The scale
is that of the published code. A frame's patch lies inside one token, so a causal tokenizer stays causal.

In the published scripts p is 1, which is zero levels: the wavelet of the released tokenizer does nothing. With p = 2
that code stops with an error, because its convolutions do not know that there are more channels. Here the channels
follow p, "wavelet" needs p > 1, and "compat" keeps the published place that does nothing.

Notation: B batch, T frames, F features, p = `patch_size`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from motionlab.errors import InputError

PATCHERS = ("wavelet", "compat", None)
PATCH_SIZES = (2, 4, 8)


class HaarPatch(nn.Module):
    """`[B, T, F]` -> `[B, T / p, p F]`; T must be a multiple of p.

    >>> HaarPatch(4)(torch.zeros(2, 12, 272)).shape
    torch.Size([2, 3, 1088])
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(math.log2(self.patch_size))):
            a, b = x[:, 0::2], x[:, 1::2]
            x = torch.cat([a + b, a - b], dim=2) * (0.5 * math.sqrt(0.5))  # [B, t, c] -> [B, t / 2, 2 c]
        return x


class HaarUnpatch(nn.Module):
    """The inverse: `[B, T / p, p F]` -> `[B, T, F]`.

    >>> x = torch.arange(8.0).view(1, 4, 2)
    >>> bool(torch.allclose(HaarUnpatch(2)(HaarPatch(2)(x)), x))
    True
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(math.log2(self.patch_size))):
            low, high = (x * math.sqrt(2)).chunk(2, dim=2)
            pairs = torch.stack([low + high, low - high], dim=2)  # [B, t, c] -> [B, t, 2, c / 2]
            x = pairs.flatten(1, 2)  # [B, 2 t, c / 2]
        return x


def check_patcher(patcher: str | None, patch_size: int) -> None:
    """Refuse names and sizes that do not exist or would do nothing.

    Raises:
        InputError: e.g. a wavelet of size 1, or a size without a wavelet.
    """
    if patcher not in PATCHERS:
        names = ", ".join(repr(name) for name in PATCHERS)
        raise InputError("patcher", found=repr(patcher), expected=names, fix="Choose one of these.")
    if patcher == "wavelet" and patch_size not in PATCH_SIZES:
        raise InputError(
            "patch_size",
            found=patch_size,
            expected="2, 4 or 8 for patcher 'wavelet'",
            fix="A wavelet of 1 does nothing; say patcher='compat' for the published model that has one, or None.",
        )
    if patcher != "wavelet" and patch_size != 1:
        raise InputError(
            "patch_size",
            found=patch_size,
            expected=f"1 for patcher {patcher!r}",
            fix="Without a wavelet it does nothing; say patcher='wavelet'.",
        )
