"""Masks as pictures: each rule is that of the decoder, and the picture shows the mask."""

from __future__ import annotations

import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from motionlab.plots.attention_masks import mask_figure, masks_figure
from motionlab.plots.curves import figure_to_png
from motionlab.views.attention_masks import caption_tokens, compute_mask


def test_the_figure_paints_every_pair() -> None:
    view = compute_mask("prefix", caption_tokens(2, 3, 1, "after the text"), hide=False, query=3)
    (axes,) = mask_figure(view).axes
    squares = axes.patches[:-1]  # the last one is the frame of the query
    painted = torch.tensor([to_rgb(square.get_facecolor()) != (1.0, 1.0, 1.0) for square in squares]).view(6, 6)
    assert torch.equal(painted, view.allow)
    colors = [to_rgb(square.get_facecolor()) for square in squares]
    assert sum(red > 0.8 and green < 0.2 for red, green, _ in colors) == view.reads_padding == 5
    frame = axes.patches[-1]
    assert isinstance(frame, Rectangle) and frame.get_y() == 3 and axes.get_title() == "prefix: padding is read"
    assert len(mask_figure(view, framed=False).axes[0].patches) == len(squares)
    both = masks_figure([view, compute_mask("causal", view.tokens)])
    assert len(both.axes) == 2 and figure_to_png(both).startswith(b"\x89PNG")
