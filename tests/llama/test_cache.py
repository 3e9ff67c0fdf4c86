"""The cache: its limits, its bytes, and what a cache that was not cleared would do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.cache import KVCache
from motionlab.llama.model import MotionLlama
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


def test_longer_than_the_context(make_model: Make) -> None:
    model = make_model(max_length=12)
    assert model.new_cache(1, 12).keys.shape == (2, 1, 4, 12, 8)
    with pytest.raises(InputError, match="cache: found 13 positions, expected at most max_length=12"):
        model.new_cache(1, 13)


def test_a_full_cache_takes_no_more(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    cache = model.new_cache(4, 8)
    model.prefill(text.states, text.mask, cache)
    cache.used += 1
    with pytest.raises(InputError, match="cache: found 9 slots in use, expected at most 8"):
        cache.used += 1


def test_a_text_that_does_not_fit(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    with pytest.raises(InputError, match="cache: found 7 slots"):
        model.prefill(text.states, text.mask, model.new_cache(4, 6))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_bytes_are_the_formula_and_shrink_with_the_groups(make_model: Make, groups: int) -> None:
    cache = make_model(n_kv_heads=groups).new_cache(3, 40)
    assert cache.nbytes == 2 * 2 * 3 * groups * 40 * 8 * 4
    assert cache.nbytes == cache.keys.nbytes + cache.values.nbytes


def test_cleared_it_is_as_new(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    cache = model.new_cache(4, 20)
    other = text.states + 1.0

    def read(states: torch.Tensor) -> torch.Tensor:
        model.prefill(states, text.mask, cache)
        cache.used += 1
        return model.step(torch.zeros(4, dtype=torch.long), text.lengths, cache)

    expected = read(text.states)
    read(other)
    cache.clear()
    assert cache.used == 0
    torch.testing.assert_close(read(text.states), expected, rtol=0, atol=0)


def test_rows_can_be_dropped_and_repeated() -> None:
    cache = KVCache(1, 3, 1, 4, 2)
    cache.keys[0, :, 0, 0, 0] = torch.tensor([5.0, 6.0, 7.0])
    cache.select(torch.tensor([2, 0, 0]))
    assert cache.keys[0, :, 0, 0, 0].tolist() == [7.0, 5.0, 5.0]
