"""The panel of lesson 19: the places that it draws span exactly the receptive field."""

from __future__ import annotations

import io
from itertools import product

import pytest
from PIL import Image

from lessons.build_the_tokenizer.field import receptive_field
from lessons.build_the_tokenizer.panel import FieldPanel, compute_field


@pytest.mark.parametrize(("depth", "growth", "stages", "kernel"), list(product(range(4), (1, 3), range(3), (3, 5))))
def test_the_places_span_the_field(depth: int, growth: int, stages: int, kernel: int) -> None:
    view = compute_field(depth, growth, stages, kernel)
    frames = view.seen[-1]
    assert frames[-1] - frames[0] + 1 == view.field == receptive_field(view.layers)
    assert frames[0] == -frames[-1] and len(view.seen[0]) == 1 and view.per_token == 2**stages


def test_the_panel() -> None:
    panel = FieldPanel()
    panel.preset("published")
    assert "sees 62 frames" in panel.summary() and panel.rows(panel.result)[-1][-1] == "62"
    assert Image.open(io.BytesIO(panel._image.value)).width > 1000
