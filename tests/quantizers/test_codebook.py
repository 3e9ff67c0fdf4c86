"""Nearest codes, sums, draws and k-means against plain transcriptions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionlab.errors import InputError
from motionlab.quantizers import codebook
from motionlab.quantizers.codebook import draw_rows, kmeans, nearest_codes, tally, teaching_rows
from motionlab.quantizers.vq import VQ
from motionlab.quantizers.vq_ema import VQEMA


@given(
    st.integers(1, 60),
    st.integers(2, 40),
    st.integers(1, 12),
    st.integers(0, 2**31),
    st.integers(1, 9),
    st.integers(1, 40),
)
@settings(max_examples=30, deadline=None)
def test_nearest_is_what_the_distances_say(n: int, k: int, dim: int, seed: int, rows: int, columns: int) -> None:
    random = torch.Generator().manual_seed(seed)
    z, codes = torch.randn(n, dim, generator=random).double(), torch.randn(k, dim, generator=random).double()
    with pytest.MonkeyPatch.context() as patch:  # any block size gives the same
        patch.setattr(codebook, "SCORES_AT_ONCE", rows * min(columns, k))
        patch.setattr(codebook, "CODES_AT_ONCE", columns)
        found = nearest_codes(z, codes)
    assert torch.equal(found, torch.cdist(z, codes).argmin(1))


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_the_first_of_equal_codes_wins_and_nan_gets_an_index(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(codebook, "CODES_AT_ONCE", columns)
    codes = torch.tensor([[0.0], [1.0], [1.0], [2.0], [1.0]])
    found = nearest_codes(torch.tensor([[1.1], [torch.nan], [1.9]]), codes)
    assert found.tolist() == [1, 0, 3]  # a NaN is in no cell; its index must still be one that exists


def test_only_real_and_finite_vectors_teach() -> None:
    vectors = torch.zeros(6, 2)
    vectors[1, 0], vectors[2, 1], vectors[3, 0], vectors[3, 1] = torch.nan, torch.inf, torch.inf, -torch.inf
    assert teaching_rows(vectors, None).tolist() == [True, False, False, False, True, True]
    mask = torch.tensor([[True, True, True], [True, False, True]])
    assert teaching_rows(vectors, mask).tolist() == [True, False, False, False, False, True]


@given(st.integers(0, 50), st.integers(2, 9), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_tally_equals_the_one_hot_product(n: int, k: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, 3, generator=random).double()
    indices = torch.randint(0, k, (n,), generator=random)
    kept = torch.rand(n, generator=random) < 0.7
    one_hot = F.one_hot(indices, k).double() * kept.unsqueeze(1)  # [n, k]
    count, total = tally(vectors.masked_fill(~kept.unsqueeze(1), torch.nan), indices, kept, k)
    torch.testing.assert_close(count, one_hot.sum(0))
    torch.testing.assert_close(total, one_hot.t() @ vectors)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_draws_are_different_real_rows(n: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    vectors, kept = torch.arange(1.0, n + 1).unsqueeze(1).expand(n, 3), torch.rand(n) < 0.6
    drawn = draw_rows(vectors, kept, count)
    assert drawn.shape == (count, 3)
    if not kept.any():
        assert torch.equal(drawn, torch.zeros(count, 3))
        return
    rows = (drawn.mean(1).round() - 1).long()
    assert kept[rows].all()
    hits = torch.bincount(rows, minlength=n)[kept]
    assert int(hits.max()) - int(hits.min()) <= 1  # each row once before any row twice
    assert len(drawn.unique(dim=0)) == count  # and a row that comes twice differs from itself


def test_draws_are_shuffled() -> None:
    torch.manual_seed(0)
    vectors = torch.arange(200.0).unsqueeze(1)
    first, second = (draw_rows(vectors, torch.ones(200, dtype=torch.bool), 50).flatten() for _ in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, first.sort().values)


def lloyd(vectors: Tensor, centres: Tensor, iterations: int) -> Tensor:
    for _ in range(iterations):
        owner = torch.cdist(vectors, centres).argmin(1)
        centres = torch.stack(
            [vectors[owner == k].mean(0) if (owner == k).any() else centres[k] for k in range(len(centres))]
        )
    return centres


def test_kmeans_is_lloyds_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    vectors, kept = torch.randn(60, 2).double(), torch.rand(60) < 0.8
    start = torch.randn(7, 2).double() * 3  # some centres get nothing and stay
    monkeypatch.setattr(codebook, "draw_rows", lambda *_: start)
    torch.testing.assert_close(kmeans(vectors, kept, 7, iterations=4), lloyd(vectors[kept], start, 4))


def quantization_error(quantizer: VQEMA | VQ, z: Tensor) -> float:
    quantizer(z)
    codes = quantizer.eval()(z).codes
    return float((z - codes).square().sum(1).mean().detach())


@pytest.mark.parametrize("kind", [VQEMA, VQ])
def test_kmeans_starts_nearer_than_a_batch_and_a_batch_nearer_than_chance(kind: type[VQEMA] | type[VQ]) -> None:
    torch.manual_seed(0)
    z = torch.randn(400, 2) + 5
    errors = []
    for start in ("kmeans", "batch", "random"):
        torch.manual_seed(1)
        quantizer = kind(16, 2, start=start)
        assert bool(quantizer.initialised) == (start == "random")
        errors.append(quantization_error(quantizer, z))
    assert errors[0] < 0.8 * errors[1] and errors[1] < 0.1 * errors[2]


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(InputError, match="start: found 'zeros', expected batch, kmeans or random"):
        VQEMA(16, 2, start="zeros")  # type: ignore[arg-type]
