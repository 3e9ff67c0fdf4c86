"""The table of FSQ levels."""

from __future__ import annotations

import math

import pytest

from motionlab.errors import InputError
from motionlab.quantizers.levels import LEVELS, levels_for

REAL = {256: 240, 512: 512, 1024: 1000, 2048: 1920, 4096: 4375, 16384: 15360, 65536: 64000}


@pytest.mark.parametrize(("nominal", "real"), REAL.items())
def test_published_rows(nominal: int, real: int) -> None:
    assert math.prod(levels_for(nominal)) == real
    assert levels_for(real) == levels_for(nominal)


def test_real_sizes_are_near_their_name() -> None:
    assert all(0.9 <= math.prod(levels) / nominal <= 1.1 for nominal, levels in LEVELS.items())


def test_unknown_size_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="codebook_size: found 1000000, expected for FSQ one of 64, 128, 256"):
        levels_for(1_000_000)
