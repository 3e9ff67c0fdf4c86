"""Choosing tokens: frequencies, filters, seeds, bad settings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import (
    SHORTLIST,
    Sampling,
    choose_tokens,
    draw,
    most_likely,
    sample_noise,
    token_probabilities,
)

PROBABILITY = torch.tensor([0.5, 0.05, 0.3, 0.15])


def frequencies(**settings: Any) -> torch.Tensor:
    """How often each token is chosen when the noise runs evenly over [0, 1)."""
    count = 20_000
    noise = torch.arange(count) / count
    tokens = choose_tokens(PROBABILITY.log().expand(count, 4), noise, Sampling(max_tokens=1, **settings))
    return torch.bincount(tokens, minlength=4) / count


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.05, 0.3, 0.15]),
        ({"greedy": True}, [1, 0, 0, 0]),
        ({"top_k": 1}, [1, 0, 0, 0]),
        ({"top_k": 2}, [0.625, 0, 0.375, 0]),
        ({"top_k": 99}, [0.5, 0.05, 0.3, 0.15]),
        ({"top_p": 0.4}, [1, 0, 0, 0]),
        ({"top_p": 0.7}, [0.625, 0, 0.375, 0]),
        ({"top_p": 0.9}, [0.5 / 0.95, 0, 0.3 / 0.95, 0.15 / 0.95]),
        ({"top_p": 1.0}, [0.5, 0.05, 0.3, 0.15]),
        ({"top_p": 1e-9}, [1, 0, 0, 0]),
        ({"temperature": 0.5}, (PROBABILITY**2 / (PROBABILITY**2).sum()).tolist()),
        # The order is temperature, top_k, top_p: flattened to 1/4 each, then two kept, then p of the rest.
        ({"temperature": 1e6, "top_k": 2, "top_p": 0.4}, [1, 0, 0, 0]),
    ],
)
def test_frequencies(settings: dict[str, object], expected: list[float]) -> None:
    torch.testing.assert_close(frequencies(**settings), torch.tensor(expected).float(), rtol=0, atol=2e-3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 1, 3]), st.sampled_from([None, 0.3, 1.0]))
def test_a_forbidden_token_is_never_chosen(seed: int, top_k: int | None, top_p: float | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(64, 7, generator=generator) * 10
    logits[:, 3] = float("-inf")
    noise = torch.rand(64, generator=generator)
    noise[:2] = torch.tensor([0.0, 1 - 2**-24])  # the ends of what torch.rand gives
    tokens = choose_tokens(logits, noise, Sampling(max_tokens=1, top_k=top_k, top_p=top_p))
    assert (tokens != 3).all() and (tokens >= 0).all() and (tokens < 7).all()


@pytest.mark.parametrize(("scale", "sorts_all"), [(4.0, False), (0.5, True)])
def test_a_short_list_draws_what_the_whole_order_draws(scale: float, sorts_all: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, noise = torch.randn(32, 3 * SHORTLIST, generator=generator) * scale, torch.rand(32, generator=generator)
    probability, tokens = most_likely(logits, 0.9)
    assert (tokens.shape[1] == logits.shape[1]) == sorts_all
    assert probability.sum(-1).min() > 0.9
    whole = Sampling(max_tokens=1, top_p=0.9, top_k=logits.shape[1])  # this one sorts
    short = Sampling(max_tokens=1, top_p=0.9)
    # Tokens of equal probability do not occur, and the end of the line moves by rounding only.
    assert torch.equal(choose_tokens(logits, noise, short), choose_tokens(logits, noise, whole))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_drawing_unsorted_never_takes_a_place_without_probability(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probability = torch.rand(64, 9, generator=generator) * (torch.rand(64, 9, generator=generator) < 0.4)
    probability[:, 4] += 1e-30  # one place is always possible, if hardly
    noise = torch.rand(64, generator=generator)
    noise[:4] = torch.tensor([0.0, 0.0, 1 - 2**-24, 1 - 2**-24])
    drawn = draw(probability, noise)
    assert (probability.gather(1, drawn[:, None]) > 0).all()


def test_draws_follow_the_probability() -> None:
    noise = torch.arange(1000) / 1000
    drawn = draw(torch.tensor([2.0, 0.0, 5.0, 3.0]).expand(1000, 4), noise)  # need not sum to 1
    assert torch.bincount(drawn, minlength=4).tolist() == [200, 0, 500, 300]


@given(
    st.lists(st.integers(-30, 30), min_size=2, max_size=6, unique=True),  # of two equal codes top-p may keep either
    st.floats(0.3, 2.0),
    st.sampled_from([None, 0.3, 0.8, 1.0]),
    st.sampled_from([None, 1, 3]),
)
def test_the_distribution_is_what_the_sampler_draws_from(logits, temperature, top_p, top_k) -> None:
    sampling = Sampling(max_tokens=1, temperature=temperature, top_p=top_p, top_k=top_k)
    row = torch.tensor(logits) / 10
    noise = (torch.arange(2000) + 0.5) / 2000  # every place of the line
    drawn = choose_tokens(row.expand(2000, -1).clone(), noise, sampling)
    share = torch.bincount(drawn, minlength=len(logits)) / 2000
    torch.testing.assert_close(token_probabilities(row, sampling), share, atol=2e-3, rtol=0)


def test_the_distribution_keeps_the_shape_of_the_logits() -> None:
    logits = torch.tensor([[[0.1, 0.9, 0.2]], [[3.0, 1.0, 2.0]]])
    assert token_probabilities(logits, Sampling(max_tokens=1, greedy=True)).tolist() == [[[0, 1, 0]], [[1, 0, 0]]]
    shares = token_probabilities(logits, Sampling(max_tokens=1, top_k=2))
    assert shares.shape == logits.shape and (shares > 0).sum(-1).tolist() == [[2], [2]]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("count", [1001, 3 * SHORTLIST])
def test_a_top_p_of_1_is_off(temperature: float, count: int) -> None:
    logits = torch.randn(16, count, generator=torch.Generator().manual_seed(0)) * 3
    noise = torch.rand(16, generator=torch.Generator().manual_seed(1))
    for top_k in (None, 900):
        off = Sampling(max_tokens=1, temperature=temperature, top_k=top_k)
        one = Sampling(max_tokens=1, temperature=temperature, top_k=top_k, top_p=1.0)
        assert torch.equal(token_probabilities(logits, one), token_probabilities(logits, off))
        assert torch.equal(choose_tokens(logits, noise, one), choose_tokens(logits, noise, off))
        assert ((token_probabilities(logits, one) > 0).sum(-1) == (top_k or count)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", [1e-40, 1e-30, 1e-7, 1e-3, 1e30, 1e300])
@pytest.mark.parametrize(
    "rest", [{}, {"top_k": 3}, {"top_p": 0.9}, {"top_p": 1.0}, {"top_k": 3, "top_p": 0.9}], ids=str
)
def test_every_temperature_draws_from_the_vocabulary(temperature, dtype, rest) -> None:
    logits = (torch.randn(64, 40, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
    logits[:, 7] = float("-inf")
    logits[:8] -= 500  # all far below 0
    noise = torch.linspace(0, 1 - 2**-24, 64)
    sampling = Sampling(max_tokens=1, temperature=temperature, **rest)
    tokens = choose_tokens(logits, noise, sampling)
    assert ((tokens >= 0) & (tokens < 40) & (tokens != 7)).all()
    probability = token_probabilities(logits, sampling)
    torch.testing.assert_close(probability.sum(-1), torch.ones(64))
    if temperature < 1e-6:  # the greedy limit: bfloat16 has equal logits, and any of them is the largest
        assert (logits.gather(1, tokens[:, None])[:, 0] == logits.amax(-1)).all()
    if temperature > 1e6 and not rest:
        torch.testing.assert_close(probability[:, :7], torch.full((64, 7), 1 / 39))


@pytest.mark.parametrize("row", [[float("nan"), 0.0], [float("inf"), 0.0], [float("-inf")] * 2])
@pytest.mark.parametrize("rest", [{}, {"top_k": 1}, {"top_p": 0.5}, {"temperature": 1e-9}])
def test_a_row_that_nothing_can_be_drawn_from_is_refused(row: list[float], rest: dict[str, Any]) -> None:
    logits, sampling = torch.tensor([[1.0, 2.0], row]), Sampling(max_tokens=1, **rest)
    with pytest.raises(InputError, match="logits: found a row with NaN or infinity"):
        choose_tokens(logits, torch.tensor([0.1, 0.9]), sampling)
    with pytest.raises(InputError, match="logits: found a row with NaN or infinity"):
        token_probabilities(logits, sampling)


def test_noise_of_a_seed_does_not_depend_on_its_company() -> None:
    together = sample_noise([3, 4, 5], 9)
    torch.testing.assert_close(together[1:2], sample_noise([4], 9), rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


def test_noise_of_a_seed_does_not_depend_on_the_limit() -> None:
    torch.testing.assert_close(sample_noise([3], 150)[:, :40], sample_noise([3], 40), rtol=0, atol=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_tokens": 0},
        {"max_tokens": 5, "min_tokens": 6},
        {"max_tokens": 5, "min_tokens": -1},
        {"max_tokens": 5, "temperature": 0.0},
        {"max_tokens": 5, "top_k": 0},
        {"max_tokens": 5, "top_p": 0.0},
        {"max_tokens": 5, "top_p": 1.5},
        {"max_tokens": 5, "guidance": -1.0},
        {"max_tokens": 5, "repetition_penalty": 0.0},
        {"max_tokens": 5, "no_repeat_ngram": -1},
    ],
)
def test_bad_settings_name_their_key(bad: dict[str, float]) -> None:
    key = list(bad)[-1]
    with pytest.raises(InputError, match=rf"sampling\.{key}: found {bad[key]}"):
        Sampling(**bad)  # type: ignore[arg-type]
