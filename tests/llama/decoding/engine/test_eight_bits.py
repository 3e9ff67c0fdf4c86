"""Rounding to 7 bits: within half a step, never over the limit that 16-bit sums allow."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.llama.decoding.engine.eight_bits import LARGEST, to_whole_numbers


@given(seed=st.integers(0, 10_000), size=st.floats(1e-6, 1e6))
def test_within_half_a_step(seed: int, size: float) -> None:
    weight = size * torch.randn(5, 33, generator=torch.Generator().manual_seed(seed))
    numbers, scale = to_whole_numbers(weight)
    assert numbers.dtype == torch.int8 and int(numbers.abs().amax()) == LARGEST
    assert bool(((numbers * scale[:, None] - weight).abs() <= 0.501 * scale[:, None]).all())


def test_two_products_fit_in_sixteen_bits() -> None:
    assert 2 * 255 * LARGEST < 2**15
