"""The published model sizes, and how many parameters a size has.

Sizes are named after the LLaMA family they copy. With a codebook of 64,000 the embedding and the output are larger
than the small decoders themselves: "44M" has 93.9 M parameters, of which 27.3 M are decoder layers.
"""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Arguments of `MotionLlama`: `MotionLlama(K, **SIZES["44M"]._asdict(), text_dim=2048)`."""

    n_layer: int
    n_head: int
    dim: int


SIZES: dict[str, Size] = {
    "44M": Size(8, 8, 512),
    "111M": Size(12, 12, 768),
    "343M": Size(24, 16, 1024),
    "775M": Size(36, 20, 1280),
    "1B": Size(48, 24, 1536),
    "3B": Size(24, 32, 3200),
    "5B": Size(24, 32, 4096),
    "6B": Size(28, 32, 4096),
    "7B": Size(36, 32, 4096),
    "13B": Size(40, 40, 5120),
    "30B": Size(60, 52, 6656),
    "65B": Size(80, 64, 8192),
}


def swiglu_hidden(dim: int, multiple: int = 256) -> int:
    """The published hidden width: `int(8 * dim / 3)` rounded up to a multiple of 256.

    8/3 instead of 4 keeps the size of a plain two-matrix layer although SwiGLU has three matrices.

    >>> swiglu_hidden(512), swiglu_hidden(3200)
    (1536, 8704)
    """
    return -(-int(8 * dim / 3) // multiple) * multiple


def parameter_count(
    codebook_size: int,
    *,
    n_layer: int,
    n_head: int,
    dim: int,
    text_dim: int,
    n_kv_heads: int | None = None,
    hidden: int | None = None,
    qk_norm: bool = False,
    tied_embeddings: bool = False,
    mask_token: bool = False,
) -> int:
    """Parameters of `MotionLlama` with these arguments, by formula.

    With d = dim, h = hidden, G/H = n_kv_heads / n_head, V = codebook_size + 2:
    `L (2 d d + 2 d d G/H + 3 d h + 2 d) + d + V d + (V - 1) d + text_dim d + d`.
    `qk_norm` adds two norms of d / H per layer, `mask_token` one row of d; tied embeddings save the (V - 1) d.

    >>> parameter_count(64_000, **SIZES["44M"]._asdict(), text_dim=2048)
    93858304
    """
    d, h, vocab = dim, hidden or swiglu_hidden(dim), codebook_size + 2
    kv_width = d // n_head * (n_kv_heads or n_head)
    layer = 2 * d * d + 2 * d * kv_width + 3 * d * h + 2 * d + (2 * (d // n_head) if qk_norm else 0)
    output = 0 if tied_embeddings else (vocab - 1) * d
    return n_layer * layer + d + (vocab + mask_token) * d + output + text_dim * d + d
