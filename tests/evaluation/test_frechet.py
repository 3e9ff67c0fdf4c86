"""FID against the usual formula, against known distances, and its interval against draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.frechet import Gaussian, frechet_distance, frechet_interval


def usual(a: torch.Tensor, b: torch.Tensor) -> float:
    """FID with the trace of (A B)^(1/2) from the eigenvalues of the product as it stands, in float64."""
    x, y = a.double().numpy(), b.double().numpy()
    one, two = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    roots = np.sqrt(np.linalg.eigvals(one @ two).astype(complex)).real.sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one) + np.trace(two) - 2 * roots)


def sets(n: int, m: int, d: int, seed: int = 0, power: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, d + 1) ** -power
    turn = torch.linalg.qr(torch.randn(d, d, generator=random))[0]
    a, b = (torch.randn(k, d, generator=random) * scale @ turn for k in (n, m))
    return a + 0.3, b * 1.2 + 0.5 * torch.randn(m, 1, generator=random) * scale


@pytest.mark.parametrize(
    ("n", "m", "d", "power"),
    [(2000, 1500, 32, 0.5), (2000, 1500, 32, 4.0), (300, 300, 64, 0.5), (20, 700, 48, 0.5), (700, 20, 48, 0.5),
     (20, 20, 48, 0.5), (900, 800, 1, 0.0)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_usual_formula(n: int, m: int, d: int, power: float, dtype: torch.dtype) -> None:
    a, b = (x.to(dtype) for x in sets(n, m, d, power=power))
    assert frechet_distance(a, b) == pytest.approx(usual(a, b), rel=1e-4)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-4)
    ones = [x / x.norm(dim=1, keepdim=True) for x in (a, b)]
    assert frechet_distance(a, b, unit=True) == pytest.approx(usual(*ones), rel=1e-4, abs=1e-6)


def test_equals_scipy() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a, b = sets(2000, 1500, 64)
    one, two = Gaussian.of(a), Gaussian.of(b)
    root = linalg.sqrtm(one.covariance @ two.covariance).real
    expected = ((one.mean - two.mean) ** 2).sum() + np.trace(one.covariance + two.covariance - 2 * root)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-4)


def test_directions_that_do_not_vary() -> None:
    a, b = sets(1000, 1000, 16)
    a[:, 3], b[:, 3] = 1.0, 1.0
    a[:, 5], b[:, 5] = a[:, 4], b[:, 4]  # a copy of another feature
    assert frechet_distance(a, b) == pytest.approx(usual(a, b), rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(torch.ones(9, 4), torch.zeros(9, 4)) == pytest.approx(4)


@pytest.mark.parametrize(("n", "d"), [(2, 5), (8, 64), (48, 48)])
def test_few_rows_have_a_factor_without_a_covariance(n: int, d: int) -> None:
    """Of rows that are no more than dimensions: it gives the covariance, and has a column for each direction."""
    a, _ = sets(n, 1, d)
    a[-1] = a[0]  # as in a draw with replacement
    found = Gaussian.of(a)
    np.testing.assert_allclose(found.covariance, np.cov(a.double().numpy(), rowvar=False), atol=1e-12)
    np.testing.assert_allclose(found.factor @ found.factor.T, found.covariance, atol=1e-12)
    assert found.factor.shape == (d, max(n - 2, 0))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_known_distances() -> None:
    a, _ = sets(500, 1, 12)
    shift = torch.linspace(-1, 1, 12)
    assert frechet_distance(a, a + shift) == pytest.approx(float(shift.square().sum()), rel=1e-4)
    centred = a - a.mean(0)
    spread = float(centred.double().square().sum() / 499)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * spread, rel=1e-4)  # (3 - 1)^2 tr A
    far = 1000 + centred
    assert frechet_distance(far, 1000 + 3 * centred) == pytest.approx(4 * spread, rel=1e-3)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_is_as_wide_as_that_of_draws(grouped: bool) -> None:
    a, b = sets(1500, 1200, 6)
    takes: list[list[int] | None] = [None, None]
    if grouped:
        a, b = a.repeat_interleave(4, 0)[:1500], b.repeat_interleave(4, 0)[:1200]
        takes = [(np.arange(n) // 4).tolist() for n in (1500, 1200)]
    found = frechet_interval(a, b, groups_a=takes[0], groups_b=takes[1])
    assert found.value == pytest.approx(frechet_distance(a, b)) and found.low < found.value < found.high
    random, values = np.random.default_rng(0), []
    for _ in range(300):
        rows = []
        for table, take in zip((a, b), takes, strict=True):
            drawn = random.integers(len(table) // (4 if grouped else 1), size=len(table) // (4 if grouped else 1))
            rows.append(table[drawn] if take is None else table.unflatten(0, (-1, 4))[drawn].flatten(0, 1))
        values.append(frechet_distance(*rows))
    assert found.high - found.value == pytest.approx(1.96 * np.std(values), rel=0.15)


def test_the_interval_of_few_clips_is_drawn() -> None:
    a, b = sets(30, 40, 24)
    found = frechet_interval(a, b)
    assert found.value == pytest.approx(usual(a, b), rel=1e-4) and found.low < found.value < found.high
    assert found == frechet_interval(a, b) and found.n == 30


def test_wrong_input() -> None:
    with pytest.raises(InputError, match="4 and 5 dimensions"):
        frechet_distance(torch.randn(9, 4), torch.randn(9, 5))
    with pytest.raises(InputError, match="N >= 2"):
        Gaussian.of(torch.ones(1, 4))
