"""The levels panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.widgets.levels_panel import LevelsPanel, read_levels


@pytest.fixture(scope="module")
def panel() -> LevelsPanel:
    return LevelsPanel()


def test_the_published_levels(panel: LevelsPanel) -> None:
    panel.preset("MotionMillion")
    panel.set(frames=2)
    assert "8 x 8 x 8 x 5 x 5 x 5 = 64,000 codes | ≈15.97 bits a token, ≈7.98 a frame" in panel.summary()
    table = panel.table().rows
    assert len(table) == 7 and table[1][2].startswith("-1.423 -0.792") and table[6][3].startswith("16.6% 23.4% 20.1%")
    assert bytes(panel._image.value).startswith(b"\x89PNG")


def test_spread_and_bound_change_what_a_token_carries(panel: LevelsPanel) -> None:
    def carried(name: str) -> float:
        panel.preset(name)
        return panel.result[0].entropy_bits

    narrow, wide, ifsq = carried("too narrow"), carried("too wide"), carried("iFSQ")
    panel.set(bound="fsq")
    assert narrow < wide < ifsq < panel.result[0].entropy_bits < panel.result[0].bits


def test_wrong_levels_are_told_and_change_nothing(panel: LevelsPanel) -> None:
    panel.reset()
    before = bytes(panel._image.value)
    for text in ("8, 5, x5, five", "8, 1", "17", "", "2 2 2 2 2 2 2 2 2"):
        panel.inputs["levels"].value = text
        assert 'role="alert"' in panel._text.value and bytes(panel._image.value) == before
    panel.inputs["levels"].value = "3 3"
    assert "3 x 3 = 9 codes" in panel._text.value
    panel.inputs["dimension"].value = 3
    assert "1 to 2" in panel._text.value


@pytest.mark.parametrize("text", ["8,5", " 8 5 ", "(8, 5)", "[8;5]", "8x5"])
def test_levels_as_people_write_them(text: str) -> None:
    assert read_levels(text) == (8, 5)


def test_levels_that_are_none() -> None:
    with pytest.raises(InputError, match="2 to 16"):
        read_levels("8.5, 5")
