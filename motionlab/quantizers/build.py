"""A quantizer by its name."""

from __future__ import annotations

from collections.abc import Callable

from motionlab.errors import InputError
from motionlab.quantizers.base import Quantizer
from motionlab.quantizers.bsq import BSQ
from motionlab.quantizers.cosine_vq import CosineVQ
from motionlab.quantizers.fsq import FSQ
from motionlab.quantizers.ifsq import IFSQ
from motionlab.quantizers.levels import levels_for
from motionlab.quantizers.lfq import LFQ
from motionlab.quantizers.noisy_fsq import NoisyFSQ
from motionlab.quantizers.residual import ResidualFSQ, ResidualVQ
from motionlab.quantizers.rotation_vq import RotationVQ
from motionlab.quantizers.simvq import SimVQ
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.vq_ema import VQEMA

# name -> (codebook_size, dim) -> quantizer
_BUILDERS: dict[str, Callable[[int, int], Quantizer]] = {
    "fsq": lambda size, dim: FSQ(levels_for(size), dim),
    "ifsq": lambda size, dim: IFSQ(levels_for(size), dim),
    "fsq_noise": lambda size, dim: NoisyFSQ(levels_for(size), dim),
    "vq": VQ,
    "vq_ema": VQEMA,
    "vq_ema_no_reset": lambda size, dim: VQEMA(size, dim, reset=False),
    "vq_cosine": CosineVQ,
    "vq_rotation": RotationVQ,
    "simvq": SimVQ,
    "lfq": LFQ,
    "bsq": BSQ,
    "rvq": ResidualVQ,
    "rfsq": lambda size, dim: ResidualFSQ(levels_for(size), dim),
}
KINDS = tuple(_BUILDERS)


def make_quantizer(kind: str, codebook_size: int, dim: int) -> Quantizer:
    """Build a quantizer with its usual settings.

    Args:
        kind: one of `KINDS`. "rvq" and "rfsq" get two codebooks.
        codebook_size: of one codebook. For the FSQ family a nominal size of the table (`levels_for`), for "lfq" and
            "bsq" a power of two; the real K is `quantizer.codebook_size`.
        dim: D, width of the vectors.

    >>> make_quantizer("fsq", 65536, 512).codebook_size, make_quantizer("vq_ema", 512, 64).codebook_size
    (64000, 512)
    """
    if kind not in _BUILDERS:
        raise InputError("quantizer", found=repr(kind), expected=", ".join(KINDS), fix="Choose one of these.")
    return _BUILDERS[kind](codebook_size, dim)
