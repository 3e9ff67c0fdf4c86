"""Checks of embeddings, and the interval of a mean against real bootstrap draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.embeddings import as_embeddings, as_pairs, mean_interval, spread_of_mean, unit_length
from motionlab.evaluation.intervals import bootstrap


def test_checked_tables() -> None:
    assert as_embeddings(np.ones((3, 2), np.float16)).dtype == torch.float32
    assert as_embeddings(torch.ones(3, 2, dtype=torch.float64)).dtype == torch.float64
    torch.testing.assert_close(as_embeddings(torch.tensor([[3.0, 4.0]]), unit=True), torch.tensor([[0.6, 0.8]]))
    assert as_embeddings(torch.full((4, 2), 3e38)).shape == (4, 2)  # the sum overflows, no number does
    with pytest.raises(InputError, match="NaN or infinity"):
        as_embeddings(torch.tensor([[1.0, torch.inf]]))
    with pytest.raises(InputError, match=r"found shape \(3,\)"):
        as_embeddings(torch.ones(3))
    with pytest.raises(InputError, match=r"N >= 2"):
        as_embeddings(torch.ones(1, 3), least=2)
    with pytest.raises(InputError, match="two equal shapes"):
        as_pairs(torch.ones(3, 2), torch.ones(2, 2), "text and motion")


def test_length_one() -> None:
    table = torch.randn(50, 7, dtype=torch.float64)
    torch.testing.assert_close(unit_length(table).norm(dim=1), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_is_that_of_many_draws(grouped: bool) -> None:
    random = np.random.default_rng(0)
    takes = np.repeat(np.arange(40), 5).tolist() if grouped else None
    values = random.standard_normal(200) + (0 if takes is None else random.standard_normal(40)[takes])
    ours, drawn = mean_interval(values, takes), bootstrap(values, groups=takes, draws=4000)
    assert ours.value == pytest.approx(drawn.value) and ours.n == drawn.n == (40 if grouped else 200)
    assert ours.high - ours.low == pytest.approx(drawn.high - drawn.low, rel=0.08)


def test_shares_and_draws() -> None:
    assert mean_interval(np.ones(20), share=True).high == 1.0 and mean_interval(np.ones(20), share=True).low < 0.9
    wide = mean_interval(np.arange(10.0), draws=np.array([4.0, 5.0]))
    alone = mean_interval(np.arange(10.0))
    assert wide.high - wide.low > alone.high - alone.low
    assert np.isnan(spread_of_mean(np.arange(3.0), ["one"] * 3)[0])
    with pytest.raises(InputError, match="2 for 3 rows"):
        spread_of_mean(np.arange(3.0), [1, 2])
