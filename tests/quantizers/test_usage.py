"""Usage statistics against a dense one-hot count."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.usage import CodeUsage


@given(st.lists(st.integers(0, 11), min_size=1, max_size=80))
@settings(max_examples=30, deadline=None)
def test_equals_the_dense_count(values: list[int]) -> None:
    indices = torch.tensor(values)
    usage = CodeUsage(12)
    for part in indices.split(7):
        usage.update(part)
    found = usage.summary()
    p = F.one_hot(indices, 12).double().mean(0)
    entropy = -sum(x * math.log(x) for x in p.tolist() if x > 0)
    assert found.perplexity == pytest.approx(math.exp(entropy))
    assert found.entropy_bits == pytest.approx(entropy / math.log(2), abs=1e-12)
    assert found.used == len(set(values)) and found.dead == 12 - found.used
    assert found.used_fraction == found.used / 12
    assert found.tokens == len(values) == int(found.histogram.sum())


def test_nothing_counted() -> None:
    usage = CodeUsage(5)
    usage.update(torch.zeros(0, dtype=torch.int64))
    found = usage.summary()
    assert (found.tokens, found.used, found.perplexity, found.entropy_bits) == (0, 0, 0.0, 0.0)


def test_mask_and_narrow_integers() -> None:
    usage = CodeUsage(5)
    usage.update(torch.tensor([[1, 2], [4, 99]], dtype=torch.int16), torch.tensor([[True, True], [True, False]]))
    assert usage.summary().histogram.tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("bad", [-1, 5])
def test_a_number_that_is_no_code(bad: int) -> None:
    usage = CodeUsage(5)
    with pytest.raises(InputError, match="expected 0..4"):
        usage.update(torch.tensor([0, bad]))
    assert usage.summary().tokens == 0
