"""R-precision, matching distance and nearest neighbours against sorted distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation import retrieval
from motionlab.evaluation.retrieval import batched_rivals, closer_rivals, matching_distance, nearest, r_precision


def pairs(n: int, d: int = 24, noise: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, d + 1) ** -0.5
    motion = torch.randn(n, d, generator=random) * scale
    return motion + noise * torch.randn(n, d, generator=random) * scale + 2, motion + 2


def sorted_shares(text: np.ndarray, motion: np.ndarray, ks: tuple[int, ...]) -> list[float]:
    """The published way: all distances, every row sorted."""
    distances = np.sqrt(((text[:, None] - motion[None]) ** 2).sum(-1))
    order = distances.argsort(1)
    return [float((order[:, :k] == np.arange(len(text))[:, None]).any(1).mean()) for k in ks]


@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0, 5.0])  # every caption found; most; some; few
@pytest.mark.parametrize("unit", [False, True])
def test_equals_sorting(noise: float, unit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_FIRST", 32)
    monkeypatch.setattr(retrieval, "_BLOCK", 64)
    text, motion = pairs(700, noise=noise)
    ks = (1, 2, 3, 10)
    x, y = (t / t.norm(dim=1, keepdim=True) if unit else t for t in (text, motion))
    found = r_precision(text, motion, ks, unit=unit)
    assert [found[k].value for k in ks] == pytest.approx(sorted_shares(x.double().numpy(), y.double().numpy(), ks))
    assert all(found[k].low <= found[k].value <= found[k].high and found[k].n == 700 for k in ks)


@pytest.mark.parametrize("sparse", [0.0, 1.0])
def test_pairs_and_blocks_count_the_same(sparse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_FIRST", 16)
    monkeypatch.setattr(retrieval, "_SPARSE", sparse)
    text, motion = pairs(400, noise=0.4)
    distances = torch.cdist(text.double(), motion.double())
    expected = (distances < distances.diagonal()[:, None]).sum(1)
    assert torch.equal(closer_rivals(text, motion, 400), expected)
    stopped = closer_rivals(text, motion, 2)
    assert torch.equal(stopped < 2, expected < 2) and torch.equal(stopped[stopped < 2], expected[expected < 2])


def test_batches_equal_sorting_in_batches() -> None:
    text, motion = pairs(100)
    found = r_precision(text, motion, (1, 3), batch=32, draws=3, seed=5)
    random, shares = np.random.default_rng(5), []
    for _ in range(3):
        order = random.permutation(100)[:96]
        rows = [sorted_shares(text[i].numpy(), motion[i].numpy(), (1, 3)) for i in order.reshape(3, 32)]
        shares.append(np.mean(rows, 0))
    assert [found[k].value for k in (1, 3)] == pytest.approx(np.mean(shares, 0))
    alone = r_precision(text, motion, (1,), batch=32, draws=1)[1]
    assert alone.low < alone.value < alone.high and found[3].value > r_precision(text, motion, (3,))[3].value


def test_equal_captions_are_right_or_rivals() -> None:
    text, motion = pairs(60, noise=0.1)
    text, names = text.repeat_interleave(2, 0), [f"caption {i // 2}" for i in range(120)]
    motion = torch.cat((motion[:, None], motion[:, None] + 0.001 * torch.randn(60, 1, 24)), 1).flatten(0, 1)
    as_rivals, as_right = r_precision(text, motion), r_precision(text, motion, captions=names)
    assert as_rivals[1].value == pytest.approx(0.5, abs=0.05) and as_right[1].value > 0.95
    in_batches = [r_precision(text, motion, (1,), batch=32, captions=c)[1].value for c in (None, names)]
    assert in_batches[1] > in_batches[0] + 0.05


def test_one_point_for_everything_scores_nothing() -> None:
    """Sorting would leave its order to chance; in programs that count strictly closer rivals it would score 100 %."""
    point = torch.full((300, 8), 0.7)
    assert r_precision(point, point)[3].value == 0 and r_precision(point, point, batch=32)[3].value == 0


def test_groups_widen_and_unused_rows_are_left_out() -> None:
    text, motion = pairs(50)
    rows = torch.arange(50).repeat_interleave(4)
    narrow, wide = (r_precision(text[rows], motion[rows], groups=g)[1] for g in (None, rows.tolist()))
    assert wide.n == 50 and narrow.n == 200
    assert r_precision(text, motion, (1,), batch=32, draws=1, groups=list(range(50)))[1].n == 32
    assert (batched_rivals(text, motion, 32, 2, 0) == -1).sum(1).tolist() == [18, 18]


def test_matching_distance() -> None:
    text, motion = pairs(80)
    found = matching_distance(text, motion)
    assert found.value == pytest.approx(float((text - motion).norm(dim=1).mean())) and found.low < found.value
    assert matching_distance(text, 3 * text, unit=True).value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("unit", [False, True])
def test_nearest_equals_sorting(unit: bool) -> None:
    a, b = pairs(130)
    b = torch.cat((b, a[:10] + 1e-4))  # rows that are nearly equal
    x, y = (t / t.norm(dim=1, keepdim=True) if unit else t for t in (a, b))
    expected, order = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").sort(1)
    found = nearest(a, b, 5, unit=unit)
    torch.testing.assert_close(found.distances, expected[:, :5], rtol=1e-6, atol=1e-9)
    assert torch.equal(found.indices, order[:, :5])
    itself = nearest(a, a, 1, skip_self=True)
    assert (itself.indices[:, 0] != torch.arange(130)).all() and (itself.distances > 0).all()
    assert nearest(a, b, len(b)).indices.sort(1).values.unique(dim=0).shape == (1, 140)


def test_wrong_input() -> None:
    x = torch.randn(10, 4)
    with pytest.raises(InputError, match="batch: found 32, expected 2 to 10"):
        r_precision(x, x, batch=32)
    with pytest.raises(InputError, match="ks"):
        r_precision(x, x, ks=(0, 1))
    with pytest.raises(InputError, match="text and motion"):
        r_precision(x, x[:5])
    with pytest.raises(InputError, match="captions: found 3 for 10 rows"):
        r_precision(x, x, captions=["a", "b", "c"])
    with pytest.raises(InputError, match="k from 1 to 9"):
        nearest(x, x, 10, skip_self=True)
