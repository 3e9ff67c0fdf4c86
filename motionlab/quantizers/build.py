"""A quantizer by its name."""

from __future__ import annotations

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.levels import levels_for
from motionlab.quantizers.vq import VQEMA

KINDS = ("fsq", "vq_ema")


def make_quantizer(kind: str, codebook_size: int, dim: int) -> Quantizer:
    """Build a quantizer with its usual settings.

    Args:
        kind: "fsq" or "vq_ema".
        codebook_size: for FSQ a nominal size of the table (`levels_for`); the real K is `quantizer.codebook_size`.
        dim: D, width of the vectors.

    >>> make_quantizer("fsq", 65536, 512).codebook_size, make_quantizer("vq_ema", 512, 64).codebook_size
    (64000, 512)
    """
    if kind == "fsq":
        return FSQ(levels_for(codebook_size), dim)
    if kind == "vq_ema":
        return VQEMA(codebook_size, dim)
    raise InputError("quantizer", found=repr(kind), expected=" or ".join(KINDS), fix="Choose one of these.")
