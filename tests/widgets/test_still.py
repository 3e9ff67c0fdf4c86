"""The output that a panel or a player leaves in a saved notebook, for pages without a kernel."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from motionlab.plots.player import Track, player_html
from motionlab.widgets.codebook_panel import CodebookPanel
from motionlab.widgets.panel import COLOURS, Panel, still_picture
from motionlab.widgets.player import SkeletonPlayer
from motionlab.widgets.quantizer_panel import QuantizerPanel
from motionlab.widgets.strategy_panel import StrategyPanel

VIEW = "application/vnd.jupyter.widget-view+json"


def opened(data: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("kind", [QuantizerPanel, CodebookPanel])
def test_a_panel_is_shown_alive_and_kept_as_a_picture(kind: type[Panel]) -> None:
    panel = kind()
    bundle = panel._repr_mimebundle_()
    assert VIEW in bundle and bundle["text/plain"] == repr(panel)
    picture = opened(bundle["image/png"])
    assert picture.format == "PNG" and min(picture.size) > 200
    assert len(picture.convert("RGB").getcolors(10**6) or []) > 10  # something is drawn


def test_the_picture_is_that_of_the_controls() -> None:
    panel = QuantizerPanel()
    before = panel.still()
    panel.preset("rescued")
    assert panel.still() != before


def test_few_colours_take_fewer_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    kept = still_picture(buffer.getvalue())["image/png"]
    assert len(base64.b64decode(kept)) < 0.6 * len(buffer.getvalue())
    assert len(opened(kept).convert("RGB").getcolors(10**6) or []) <= COLOURS
    assert still_picture(b"") == {}


def test_no_colour_of_a_picture_becomes_another_one() -> None:
    panel = StrategyPanel()  # its legend has a swatch for a state that no place has
    whole = Image.open(BytesIO(panel._image.value)).convert("RGB")
    kept = opened(panel.still()["image/png"]).convert("RGB")
    small = whole.resize(kept.size, Image.Resampling.LANCZOS)
    errors = np.abs(np.asarray(kept, dtype=int) - np.asarray(small, dtype=int))
    assert errors.max() < 30


def test_a_player_is_kept_alive_with_moments_for_pages_without_scripts() -> None:
    joints = np.zeros((9, 22, 3))
    joints[..., 1] = np.linspace(0, 1.7, 22)
    player = SkeletonPlayer([Track("real", joints), Track('<b>"', joints)], "walks", fps=20)
    data, _ = player._repr_mimebundle_()
    page = data["text/html"]
    assert VIEW in data and "motionlabPlayer(document.querySelector(" in page and '"fps":20.0' in page
    assert '<img alt="Moments of: real, &lt;b&gt;&quot;" src="data:image/png;base64,' in page
    assert "http" not in page
    player.show([Track("other", joints)], "runs")
    assert "runs" in player.still()["text/html"] and "walks" not in player.still()["text/html"]


def test_what_stands_in_for_the_player_is_inside_its_element() -> None:
    page = player_html([Track("a", np.zeros((2, 22, 3)))], still="<em>moments</em>", script=False)
    assert page.startswith('<div class="player-') and "><em>moments</em></div><script>" in page
