"""The points in which a decoder may differ from the published one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LlamaVariant:
    """The points in which a decoder may differ from the published one. The defaults are the published choices.

    >>> LlamaVariant(tied_embeddings=True)
    LlamaVariant(hidden=None, qk_norm=False, tied_embeddings=True, mask_token=False, norm_eps=1e-05)
    """

    hidden: int | None = None
    """Width of the SwiGLU layer; None is the rule `sizes.swiglu_hidden(dim)`."""
    qk_norm: bool = False
    """Normalise query and key heads, see `Attention`."""
    tied_embeddings: bool = False
    """The output layer shares the weights of the embedding."""
    mask_token: bool = False
    """One more embedding row, MASK, for masked modelling (`objectives/strategies.py`, `decoding/masked.py`)."""
    norm_eps: float = 1e-5
    """Of every RMSNorm."""
