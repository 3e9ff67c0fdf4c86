"""Pieces of like length: every row once, little padding, the loss of the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.llama.like_length import cheapest_cuts, cut_like_length
from motionlab.llama.sequence import build_sequences
from motionlab.text.encoder import TextFeatures

K = 20


@given(st.lists(st.integers(2, 60), min_size=1, max_size=7), st.integers(0, 100))
def test_no_other_cut_is_cheaper(lengths: list[int], price: int) -> None:
    rising = np.sort(np.array(lengths))

    def cost(edges: tuple[int, ...]) -> int:
        return sum((b - a) * int(rising[b - 1]) + price for a, b in itertools.pairwise(edges))

    inner = range(1, len(rising))
    every = [(0, *some, len(rising)) for n in range(len(rising)) for some in itertools.combinations(inner, n)]
    assert cost(tuple(cheapest_cuts(rising, price))) == min(map(cost, every))


@pytest.mark.parametrize("price", [0, 8, 10_000])
def test_every_row_is_in_one_piece_with_its_own_padding(price: int) -> None:
    random = torch.Generator().manual_seed(0)
    codes = [torch.randint(K, (n,), generator=random) for n in (9, 3, 30, 4, 28)]
    text = TextFeatures.from_rows([torch.randn(n, 4, generator=random) for n in (2, 5, 1, 1, 3)])
    batch = build_sequences(codes, text, K).seeded(1)
    pieces = cut_like_length(batch, price)
    assert len(pieces) == {0: 4, 8: 2, 10_000: 1}[price]
    assert batch.seeds is not None
    rows = {int(seed): row for row, seed in enumerate(batch.seeds)}
    seen = []
    for piece in pieces:
        assert piece.seeds is not None and piece.tokens.shape[1] == int(piece.lengths.max())
        for at, seed in enumerate(piece.seeds):
            row, length, width = rows[int(seed)], int(piece.lengths[at]), int(piece.text_mask[at].sum())
            seen.append(row)
            assert torch.equal(piece.tokens[at, :length], batch.tokens[row, :length])
            assert torch.equal(piece.labels[at, :length], batch.labels[row, :length])
            assert torch.equal(piece.text[at, :width], text.states[row, : len(text.states[row])][:width])
    assert sorted(seen) == list(range(5))
