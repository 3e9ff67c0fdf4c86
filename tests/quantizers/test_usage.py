"""Usage statistics against a dense one-hot count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.quantizers.usage import CodeUsage, expected_share


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


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_several_codebooks_are_counted_each_by_itself(values: list[tuple[int, int, int]]) -> None:
    indices = torch.tensor(values)  # [n, 3]
    together, each = CodeUsage(6, 3), [CodeUsage(6) for _ in range(3)]
    together.update(indices.view(1, -1, 3))
    for usage, part in zip(each, indices.unbind(1), strict=True):
        usage.update(part)
    found, parts = together.summary(), [usage.summary() for usage in each]
    assert torch.equal(found.histogram, torch.stack([part.histogram for part in parts]))
    assert found.tokens == len(values) and found.used == sum(part.used for part in parts)
    assert found.dead == 18 - found.used and found.used_fraction == found.used / 18
    assert found.entropy_bits == pytest.approx(sum(part.entropy_bits for part in parts), abs=1e-9)
    assert found.perplexity == pytest.approx(math.prod(part.perplexity for part in parts) ** (1 / 3))


def test_a_mask_over_tokens_of_several_codebooks() -> None:
    usage = CodeUsage(4, 2)
    usage.update(torch.tensor([[[0, 1], [2, 99]]]), torch.tensor([[True, False]]))
    assert usage.summary().histogram.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


def test_memory_does_not_grow_with_tokens_times_codes() -> None:
    """A one-hot matrix of these would hold 2 * 10^10 numbers."""
    usage = CodeUsage(64_000)
    usage.update(torch.arange(300_000) % 64_000)
    assert usage.summary().used == 64_000


def test_the_expected_share_is_what_a_draw_gives() -> None:
    drawn = np.random.default_rng(0).integers(1000, size=(200, 700))
    share = np.mean([len(np.unique(row)) for row in drawn]) / 1000
    assert expected_share(1000, 700) == pytest.approx(share, rel=0.01)
    assert expected_share(1, 5) == 1.0 and expected_share(1000, 0) == 0.0
