"""Quantizers by name."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.quantizers.build import KINDS, make_quantizer


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="found 'vqq', expected fsq, ifsq, "):
        make_quantizer("vqq", 512, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind: str) -> None:
    quantizer = make_quantizer(kind, 1024, 8)
    assert quantizer.dim == 8
    assert quantizer.codebook_size == (1000 if "fsq" in kind else 1024)
    assert quantizer.n_codebooks == (2 if kind in ("rvq", "rfsq") else 1)


def test_every_kind_is_a_different_thing() -> None:
    built = [make_quantizer(kind, 256, 8) for kind in KINDS]
    assert len({(type(quantizer).__name__, repr(quantizer)) for quantizer in built}) == len(KINDS) == 13
