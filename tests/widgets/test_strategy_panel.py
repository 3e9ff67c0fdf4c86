"""The strategy panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.widgets.strategy_panel import StrategyPanel


@pytest.fixture(scope="module")
def panel() -> StrategyPanel:
    return StrategyPanel()


def test_presets_show_what_their_names_say(panel: StrategyPanel) -> None:
    panel.preset("MotionMillion's scripts")
    assert "54 codes: 54 kept | the loss counts 58 places" in panel.summary()
    panel.preset("T2M-GPT")
    assert "replaced" in panel.summary() and panel.result.rates == [0.5] * 4
    panel.preset("pkeep = -1")
    assert len(set(panel.result.rates)) == 1
    panel.preset("a rate for each clip")
    assert len(set(panel.result.rates)) == 4
    panel.preset("own codes")
    assert panel.result.count("own") > 0 and panel.result.count("replaced") == 0
    panel.preset("MaskGIT")
    assert panel.result.count("MASK") == panel.result.n_predicted


def test_a_seed_changes_the_draw_and_nothing_else(panel: StrategyPanel) -> None:
    panel.preset("T2M-GPT")
    first = panel.result.read
    panel.set(seed=1)
    assert not first.equal(panel.result.read) and panel.result.n_codes == 54
    panel.set(seed=0)
    assert first.equal(panel.result.read)


def test_the_table_adds_up(panel: StrategyPanel) -> None:
    panel.reset()
    table = panel.table().rows
    assert table[0][:2] == ["clip", "keep"] and len(table) == 5
    assert sum(int(cell) for row in table[1:] for cell in row[3:7]) == 54
    assert bytes(panel._image.value).startswith(b"\x89PNG")


def test_wrong_values(panel: StrategyPanel) -> None:
    with pytest.raises(InputError):
        panel.set(keep=1.5)
    with pytest.raises(InputError):
        panel.set(strategy="dropout")
