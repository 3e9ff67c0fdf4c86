"""The panel of lesson 18: exchanged parts raise the loss and change the motion, and nothing stays changed."""

from __future__ import annotations

import math

import pytest

from lessons.build_the_decoder.panel import MOST, PartsPanel


@pytest.fixture(scope="module")
def panel(built) -> PartsPanel:
    return PartsPanel(built["mine"], built["parts"], built["batch"], built["run"])


def test_it_begins_intact(panel) -> None:
    assert panel.result.loss == panel.intact < panel.result.guessing == pytest.approx(math.log(1025))
    assert 0 < len(panel.result.tokens) <= MOST


def test_an_exchange_is_seen_and_taken_back(panel, built) -> None:
    before, tokens = dict(vars(built["parts"])), panel.result.tokens
    panel.preset("no positions")
    assert panel.result.loss > panel.intact + 1 and panel.result.tokens != tokens
    assert "turn=none" in panel.summary() and len(panel.rows(panel.result)) == 4
    panel.reset()
    assert panel.result.tokens == tokens and vars(built["parts"]) == before


def test_a_decoder_that_writes_nothing_is_drawn(panel, built, monkeypatch) -> None:
    monkeypatch.setattr("lessons.build_the_decoder.panel.write", lambda *_: [])
    result = panel.compute(**panel.params)
    assert result.joints is None
    assert len(panel.picture(result).axes) == 2
