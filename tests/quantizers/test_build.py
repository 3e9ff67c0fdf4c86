"""Quantizers by name."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.quantizers.build import make_quantizer


def test_unknown_kind() -> None:
    with pytest.raises(InputError, match="found 'lfq', expected fsq or vq_ema"):
        make_quantizer("lfq", 512, 8)
