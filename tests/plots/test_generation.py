"""What the pictures of generation show is what the sampler does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import Sampling, choose_tokens
from motionlab.plots.curves import figure_to_png
from motionlab.plots.generation import (
    attention_figure,
    code_distribution,
    decoder_figure,
    distribution_figure,
    entropy_bits,
    view_distribution,
    ways_figure,
    words_figure,
)


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


def test_figures() -> None:
    plain = torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
    view = view_distribution(plain, plain, [1, 2, 3, 4], 0, Sampling(max_tokens=4))
    assert figure_to_png(distribution_figure(view))[:4] == b"\x89PNG"
    words = ["[start]", "a", "jump", "[end]"]
    figure = attention_figure(words, np.eye(4))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == words
    with pytest.raises(InputError, match="weights"):
        attention_figure(words, np.zeros((3, 5)))
    assert len(words_figure({"a": 0.1, "jump": 0.2}, {"a": 0.0, "jump": 0.3}).axes[0].texts) == 2
    line = ([1, 2], [2.0, 1.0])
    drawn = decoder_figure(line, line, line, line, {"entropy": 1.5}).axes[0]
    assert [text.get_text() for text in drawn.texts] == ["entropy"]
    grid = ways_figure({"loss": {"one": [line, line], "two": [line]}, "used": {"one": [line]}, "more": {"one": [line]}})
    assert [len(axes.lines) for axes in grid.axes] == [3, 1, 1, 0]
