"""The RoPE panel without a browser."""

from __future__ import annotations

import re

import pytest

from motionlab.widgets.rope_panel import RopePanel


@pytest.fixture(scope="module")
def panel() -> RopePanel:
    return RopePanel()


def _numbers(panel: RopePanel) -> list[float]:
    return [float(number) for number in re.findall(r"≈(-?[\d.]+(?:e[+-]?\d+)?)", panel.summary())]


def test_the_same_distance_gives_the_same_score(panel: RopePanel) -> None:
    panel.reset()
    first = _numbers(panel)
    panel.preset("same distance, later")
    assert _numbers(panel) == first and "distance -7" in panel.summary()
    assert repr(panel) == "<RopePanel: query, key, pair, theta, scaling, precision>"
    assert bytes(panel._image.value).startswith(b"\x89PNG")


def test_base_scaling_and_precision_act(panel: RopePanel) -> None:
    view = {name: panel.compute(**values) for name, values in panel.PRESETS.items()}
    assert view["base 500,000"].period > 10 * view["slowest pair"].period
    plain = panel.compute(**{**panel.PRESETS["linear scaling"], "scaling": "none"})
    assert view["linear scaling"].period == pytest.approx(4 * plain.period)
    assert abs(view["bfloat16"].score - view["bfloat16"].shifted_score) > 0.01


def test_table_and_a_refused_setting(panel: RopePanel) -> None:
    panel.reset()
    rows = panel.table().rows
    assert rows[1] == ["0", "1.000", "1.000"] and len(rows) == 8  # the query is at 40: no key 64 places back
    before = bytes(panel._image.value)
    panel.set(scaling="ntk", precision="bfloat16")
    assert 'role="alert"' in panel._text.value and bytes(panel._image.value) == before
