"""The bytes of the cache of a decoder of a named size, with every number of key-value heads and at every length."""

from __future__ import annotations

from dataclasses import replace

from motionlab.cost.kv_cache import CacheSettings
from motionlab.cost.settings import NUMBER_BYTES
from motionlab.errors import InputError
from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.views.cache_figures import CacheView

LENGTHS = tuple(2**power for power in range(4, 17))  # positions of the curves
CODES, TEXT_DIM = 64_000, 2048  # of the published decoders


def compute_cache(
    size: str, *, share: int = 1, layers: int = 0, batch: int = 1, length: int = 301, precision: str = "fp32"
) -> CacheView:
    """The cache of a named size.

    Args:
        share: query heads that share one key-value head; 1 is multi-head attention, 0 is all of them (multi-query).
        layers: 0 is as many as the size has.

    Raises:
        InputError: an unknown size, or heads that do not divide.

    >>> compute_cache("111M").settings.bytes, compute_cache("111M", share=4).settings.n_kv_heads
    (22192128, 3)
    """
    if size not in SIZES:
        raise InputError("size", found=repr(size), expected=", ".join(SIZES), fix="Choose one of these.")
    shape = SIZES[size]._replace(n_layer=layers or SIZES[size].n_layer)
    share = share or shape.n_head
    if share < 0 or shape.n_head % share:
        raise InputError(
            "share", found=share, expected=f"a divisor of the {shape.n_head} heads", fix="Choose 1, 2, 4 or all."
        )
    groups = shape.n_head // share
    settings = CacheSettings(**shape._asdict(), n_kv_heads=groups, batch=batch, length=length, precision=precision)
    numbers = parameter_count(CODES, **shape._asdict(), text_dim=TEXT_DIM, n_kv_heads=groups)
    shares = {number: settings.bytes_with(number) for number in settings.shares}
    kinds = {"multi-head": shape.n_head, "chosen": groups, "multi-query": 1}
    return CacheView(
        name=size,
        settings=settings,
        weights=numbers * NUMBER_BYTES[precision],
        shares=shares,
        of_position={number: size // (batch * length) for number, size in shares.items()},
        lengths=LENGTHS,
        growth={
            kind: [replace(settings, n_kv_heads=number, length=long).bytes for long in LENGTHS]
            for kind, number in kinds.items()
        },
    )
