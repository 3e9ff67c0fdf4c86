"""The pictures of generation agree with the sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.sampling import Sampling
from motionlab.plots.curves import figure_to_png
from motionlab.plots.generation import attention_figure, decoder_figure, distribution_figure, ways_figure, words_figure
from motionlab.views.generation import view_distribution


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
    clips = ways_figure({"error": {"one": [line]}}, columns=1, x_label="seconds")
    assert clips.axes[0].get_xlabel() == "seconds"
