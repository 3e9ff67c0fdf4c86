"""The panel of lesson 16: each fault can be shown, in a picture that fits a page."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from lessons.pitfalls.museum import GAME, NAMES, find, seen
from lessons.pitfalls.panel import Exhibit, PitfallPanel, gallery, game_figure, symptom_figure


@pytest.fixture(scope="module")
def panel() -> PitfallPanel:
    return PitfallPanel()


def test_it_shows_every_fault(panel: PitfallPanel) -> None:
    names = [name for _, name in panel.inputs["fault"].options]
    assert sorted(names) == sorted(NAMES)
    panel.set(fault="rope_pairs", show="both")
    assert "transformers #25199" in panel.summary() and "reorder the rows" in panel.summary()
    assert "✓" in panel.summary() and "fault=rope_pairs" in panel.summary()
    panel.preset("flattering")
    assert "training loss: better" in panel.summary()


def test_the_picture_is_sharp_and_fits(panel: PitfallPanel) -> None:
    panel.set(fault="negative_clip", show="both")
    width, height = struct.unpack(">II", panel._image.value[16:24])
    shown = int(panel._image.layout.width.removesuffix("px"))
    assert width == 2 * shown <= 2 * 779 and height <= 2 * 330
    both = panel._image.value
    panel.set(show="fixed")
    assert panel._image.value != both


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_drawn_from_what_was_measured(name: str) -> None:
    exhibit = Exhibit(find(name), *seen(name))
    (axes,) = symptom_figure(exhibit).axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    assert drawn["broken"] == pytest.approx(list(exhibit.broken.curve), nan_ok=True)
    assert drawn["fixed"] == pytest.approx(list(exhibit.fixed.curve), nan_ok=True)
    (alone,) = symptom_figure(exhibit, "broken").axes
    assert [line.get_label() for line in alone.lines] == ["broken"]


def test_gallery_and_game() -> None:
    figure = gallery(NAMES[:5], columns=4)
    assert sum(bool(axes.lines) for axes in figure.axes) == 5
    axes = game_figure(GAME).axes
    assert [one.get_title() for one in axes] == list("ABCDE")
    assert all(len(one.lines) == 1 for one in axes)
