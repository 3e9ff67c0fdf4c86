"""What a generated motion was drawn from is what the sampler draws from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import Sampling, choose_tokens
from motionlab.views.generation import code_distribution, entropy_bits, view_distribution


@settings(deadline=None)
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
    torch.testing.assert_close(code_distribution(row, sampling), share, atol=2e-3, rtol=0)


def test_greedy_and_entropy() -> None:
    row = torch.tensor([0.1, 0.9, 0.2])
    assert code_distribution(row, Sampling(max_tokens=1, greedy=True)).tolist() == [0, 1, 0]
    assert float(entropy_bits(torch.full((8,), 1 / 8))) == pytest.approx(3)


def test_a_view_names_end_and_the_code_that_was_drawn() -> None:
    plain = torch.zeros(3, 5)
    plain[2, 4] = 5.0
    view = view_distribution(plain, plain, [1, 3, 4], 2, Sampling(max_tokens=3, temperature=0.5, top_p=0.9))
    assert view.names[0] == "END" and view.chosen == 0 and view.kept == [5, 5, 1]
    assert view.after[0] == 1.0 and view.entropy_after[2] == 0 and view.entropy_before[0] == pytest.approx(np.log2(5))
    with pytest.raises(InputError, match="the motion has 3 tokens"):
        view_distribution(plain, plain, [1, 3, 4], 3, Sampling(max_tokens=3))
