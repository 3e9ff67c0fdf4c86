"""Iterative decoding, drawn."""

from __future__ import annotations

import torch

from motionlab.plots.unmasking import unmask_figure


def test_unmasking_shows_what_is_new() -> None:
    trace = [torch.tensor([9, 9, 9]), torch.tensor([9, 4, 9]), torch.tensor([1, 4, 2])]
    figure = unmask_figure(trace, 9)
    painted = figure.axes[0].images[0].get_array()
    assert painted is not None and painted.tolist() == [[0, 0, 0], [0, 2, 0], [2, 1, 2]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["?", "?", "?", "?", "4", "?", "1", "4", "2"]
