"""How much of a codebook is used, counted by `bincount`.

A dense one-hot matrix `[tokens, K]` gives the same numbers and takes 750 MiB for 3,072 tokens and 64,000 codes; the
counts take 0.5 MiB and can be carried over a whole data set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from motionlab.errors import InputError


@dataclass(frozen=True)
class Usage:
    """Numbers about one histogram of codes.

    Fields:
        tokens: how many indices were counted.
        used: codes seen at least once; `dead` the others; `used_fraction` = used / codebook_size.
        entropy_bits: -sum p log2 p; at most log2(codebook_size).
        perplexity: 2 ** entropy_bits, "as many codes as if all were used equally".
        histogram: `[K]` int64 on the CPU.

    `used_fraction` grows with the number of tokens looked at, so give `tokens` with it.
    """

    tokens: int
    used: int
    used_fraction: float
    dead: int
    entropy_bits: float
    perplexity: float
    histogram: Tensor

    def __str__(self) -> str:
        return (
            f"{self.used:,} of {len(self.histogram):,} codes used ({self.used_fraction:.1%}) "
            f"in {self.tokens:,} tokens, perplexity {self.perplexity:,.1f}"
        )


class CodeUsage:
    """Counts codes over many batches.

    >>> usage = CodeUsage(4)
    >>> usage.update(torch.tensor([[0, 1], [1, 0]]))
    >>> print(usage.summary())
    2 of 4 codes used (50.0%) in 4 tokens, perplexity 2.0
    """

    def __init__(self, codebook_size: int) -> None:
        self.codebook_size = codebook_size
        self.histogram = torch.zeros(codebook_size, dtype=torch.int64)

    def update(self, indices: Tensor, mask: Tensor | None = None) -> None:
        """Add indices of any shape; `mask` (same shape) is true where an index is real.

        Raises:
            InputError: an index is outside `0..codebook_size-1`.
        """
        flat = (indices if mask is None else indices[mask]).reshape(-1).cpu()
        if flat.numel() == 0:
            return
        low, high = int(flat.min()), int(flat.max())
        if low < 0 or high >= self.codebook_size:
            raise InputError(
                "code indices",
                found=f"{low}..{high}",
                expected=f"0..{self.codebook_size - 1}",
                fix="Remove END and PAD tokens first, or use the tokenizer's codebook_size.",
            )
        self.histogram += torch.bincount(flat.long(), minlength=self.codebook_size)

    def summary(self) -> Usage:
        """The numbers so far; all zero when nothing was counted."""
        tokens = int(self.histogram.sum())
        seen = self.histogram[self.histogram > 0].double()
        p = seen / max(tokens, 1)
        entropy = float(-(p * p.log2()).sum()) if tokens else 0.0
        used = len(seen)
        return Usage(
            tokens=tokens,
            used=used,
            used_fraction=used / self.codebook_size,
            dead=self.codebook_size - used,
            entropy_bits=abs(entropy),  # one code only gives -0.0
            perplexity=math.exp2(entropy) if tokens else 0.0,
            histogram=self.histogram.clone(),
        )
