"""Rotary positions as attention sees them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.rope import apply_rope, rope_table
from motionlab.views.rope import HEAD_DIM, LENGTH, compute_rope, distinct_positions, table_made_in, turning_figure


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 260), st.integers(0, 260), st.integers(0, 31), st.sampled_from(["none", "linear", "llama3"]))
def test_scores_are_those_of_turned_vectors_and_know_the_distance_only(
    query: int, key: int, pair: int, scaling: str
) -> None:
    view = compute_rope(query, key, pair, scaling=scaling)
    assert view.score == pytest.approx(view.shifted_score, abs=1e-4)
    angle = (query - key) * view.frequency
    assert view.pair_scores[key] == pytest.approx(math.cos(angle), abs=1e-3)
    assert view.distances[key] == key - query and view.scores[query] == pytest.approx(1.0, abs=1e-5)


def test_scores_equal_apply_rope() -> None:
    x = torch.tensor([1.0, 0.0] * (HEAD_DIM // 2)).expand(1, LENGTH, 1, HEAD_DIM)
    turned = apply_rope(x, rope_table(LENGTH, HEAD_DIM))[0, :, 0]
    view = compute_rope(200, 20, pair=9)
    expected = turned @ turned[200] / (HEAD_DIM // 2)
    assert torch.allclose(torch.tensor(view.scores), expected, atol=1e-5)
    assert view.turns[1] == pytest.approx(tuple(turned[20, 18:20].tolist()), abs=1e-6)


def test_bfloat16_loses_positions_and_relativity() -> None:
    for width, error in ((64, 1.1), (100, 1.4), (128, 2.0)):
        damaged = table_made_in(torch.bfloat16, head_dim=width)
        assert distinct_positions(damaged) == 279
        wrong = (rope_table(LENGTH, width) * damaged.conj()).angle().abs().max()
        assert float(wrong) == pytest.approx(error, abs=0.05)
    view = compute_rope(240, 230, 4, precision="bfloat16")
    assert abs(view.score - view.shifted_score) > 0.02
    assert torch.allclose(table_made_in(torch.float32), rope_table(LENGTH, HEAD_DIM), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"query": 301}, "0 to 300"),
        ({"key": -1}, "0 to 300"),
        ({"pair": 32}, "0 to 31"),
        ({"precision": "int8"}, "float32, bfloat16"),
        ({"scaling": "yarn"}, "linear, ntk, llama3"),
        ({"precision": "bfloat16", "scaling": "linear"}, "one of the two"),
    ],
)
def test_wrong_settings_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compute_rope(**({"query": 10, "key": 5, "pair": 0} | change))


def test_a_turned_vector_keeps_its_length() -> None:
    turned, added = turning_figure((3.0, 4.0)).axes
    assert "5.00 to 5.00" in turned.get_title() and "5.00 to 5.00" not in added.get_title()
