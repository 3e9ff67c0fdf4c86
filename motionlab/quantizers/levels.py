"""Which levels FSQ uses for which codebook size. No torch here: `motionlab params` answers without loading it."""

from __future__ import annotations

import math

from motionlab.errors import InputError

# Rows from 256 on are those of the published code (the paper's table for 2^8, 2^10, 2^12, 2^14, 2^16, and two between).
# 64 and 128 are ours, for very small corpora. The real number of codes is the product, not the name.
LEVELS: dict[int, tuple[int, ...]] = {
    64: (8, 8),
    128: (5, 5, 5),
    256: (8, 6, 5),
    512: (8, 8, 8),
    1024: (8, 5, 5, 5),
    2048: (8, 8, 6, 5),
    4096: (7, 5, 5, 5, 5),
    16384: (8, 8, 8, 6, 5),
    65536: (8, 8, 8, 5, 5, 5),
}


def levels_for(codebook_size: int) -> tuple[int, ...]:
    """Levels for a nominal codebook size, or for the real number of codes of one.

    >>> levels_for(65536), levels_for(64000)
    ((8, 8, 8, 5, 5, 5), (8, 8, 8, 5, 5, 5))

    Raises:
        InputError: no row of the table has this size.
    """
    for nominal, levels in LEVELS.items():
        if codebook_size in (nominal, math.prod(levels)):
            return levels
    raise InputError(
        "codebook_size",
        found=codebook_size,
        expected="for FSQ one of " + ", ".join(str(size) for size in LEVELS),
        fix="Choose one of these, or build FSQ(levels, dim) with your own levels.",
    )
