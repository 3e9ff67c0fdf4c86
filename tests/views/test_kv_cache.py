"""The cache of a named size."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.llama.sizes import SIZES
from motionlab.views.kv_cache import compute_cache


@pytest.mark.parametrize("size", SIZES)
def test_every_size_can_share(size: str) -> None:
    heads = SIZES[size].n_head
    views = [compute_cache(size, share=share) for share in (1, 2, 4, 0)]
    assert [view.settings.n_kv_heads for view in views] == [heads, heads // 2, heads // 4, 1]
    assert views[0].settings.bytes == heads * views[3].settings.bytes
    assert views[0].weights > views[1].weights > views[3].weights
    assert views[0].of_position == {n: n * views[0].of_position[1] for n in views[0].shares}
    assert views[0].shares[1] == 301 * views[0].of_position[1] == views[3].settings.bytes


def test_layers_and_wrong_names() -> None:
    assert compute_cache("44M", layers=4).settings.bytes * 2 == compute_cache("44M").settings.bytes
    with pytest.raises(InputError, match="111M"):
        compute_cache("100M")
    with pytest.raises(InputError, match="divisor of the 12 heads"):
        compute_cache("111M", share=5)


def test_the_cache_grows_with_the_length() -> None:
    view = compute_cache("111M", share=4, batch=2)
    for kind, groups in (("multi-head", 12), ("chosen", 3), ("multi-query", 1)):
        assert view.growth[kind] == [2 * long * view.of_position[groups] for long in view.lengths]
