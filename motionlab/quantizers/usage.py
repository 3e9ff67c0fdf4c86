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
    """Numbers about one histogram of codes, or about one for each of Q codebooks.

    Fields:
        tokens: how many tokens were counted (a token has Q indices).
        used: codes seen at least once; `dead` the others; `used_fraction` = used / (Q * codebook_size).
        entropy_bits: -sum p log2 p, summed over the codebooks; at most Q log2(codebook_size).
        perplexity: 2 ** (entropy_bits / Q), "as many codes as if all were used equally"; for Q > 1 the geometric mean.
        histogram: `[K]` int64 on the CPU; `[Q, K]` for several codebooks.

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
            f"{self.used:,} of {self.histogram.numel():,} codes used ({self.used_fraction:.1%}) "
            f"in {self.tokens:,} tokens, perplexity {self.perplexity:,.1f}"
        )


class CodeUsage:
    """Counts codes over many batches, in O(Q K + tokens) memory.

    >>> usage = CodeUsage(4)
    >>> usage.update(torch.tensor([[0, 1], [1, 0]]))
    >>> print(usage.summary())
    2 of 4 codes used (50.0%) in 4 tokens, perplexity 2.0
    """

    def __init__(self, codebook_size: int, n_codebooks: int = 1) -> None:
        self.codebook_size, self.n_codebooks = codebook_size, n_codebooks
        self.histogram = torch.zeros(codebook_size * n_codebooks, dtype=torch.int64)

    def update(self, indices: Tensor, mask: Tensor | None = None) -> None:
        """Add indices of any shape, `[..., Q]` when Q > 1; `mask [...]` is true where a token is real.

        Raises:
            InputError: an index is outside `0..codebook_size-1`.
        """
        tokens = indices.reshape(-1, self.n_codebooks)  # [...] or [..., Q] -> [n, Q]
        tokens = (tokens if mask is None else tokens[mask.reshape(-1)]).cpu()
        if tokens.numel() == 0:
            return
        low, high = (int(value) for value in tokens.aminmax())
        if low < 0 or high >= self.codebook_size:
            raise InputError(
                "code indices",
                found=f"{low}..{high}",
                expected=f"0..{self.codebook_size - 1}",
                fix="Remove END and PAD tokens first, or use the tokenizer's codebook_size.",
            )
        flat = (tokens.long() + torch.arange(self.n_codebooks) * self.codebook_size).reshape(-1)  # [n, Q] -> [n Q]
        self.histogram += torch.bincount(flat, minlength=len(self.histogram))

    def summary(self) -> Usage:
        """The numbers so far; all zero when nothing was counted."""
        tokens = int(self.histogram.sum()) // self.n_codebooks
        seen = self.histogram[self.histogram > 0].double()
        p = seen / max(tokens, 1)
        entropy = abs(float(-(p * p.log2()).sum()))  # one code only gives -0.0
        return Usage(
            tokens=tokens,
            used=len(seen),
            used_fraction=len(seen) / len(self.histogram),
            dead=len(self.histogram) - len(seen),
            entropy_bits=entropy,
            perplexity=math.exp2(entropy / self.n_codebooks) if tokens else 0.0,
            histogram=self.histogram.view(self.n_codebooks, -1).squeeze(0).clone(),
        )


def expected_share(codebook_size: int, tokens: int) -> float:
    """Share of a codebook that `tokens` random tokens use when every code is equally likely: 1 - (1 - 1/K)^n.

    >>> round(expected_share(1000, 1000), 3), round(expected_share(64_000, 2_400), 3)
    (0.632, 0.037)
    """
    return -math.expm1(tokens * math.log1p(-1 / codebook_size)) if codebook_size > 1 else 1.0
