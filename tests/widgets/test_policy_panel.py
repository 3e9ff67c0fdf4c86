"""The panel of lesson 14, on the kept trainings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from motionlab.views.policy_trials import load_policies
from motionlab.widgets.policy_panel import PolicyPanel


@pytest.fixture(scope="module")
def panel(root: Path) -> PolicyPanel:
    return PolicyPanel(load_policies(root / "notebooks" / "results" / "vla_ablation.json"))


def test_every_preset_and_back(panel: PolicyPanel) -> None:
    assert repr(panel) == "<PolicyPanel: fusion, freeze, standardise, change, instruction>"
    first = panel.summary()
    said = {}
    for name in panel.PRESETS:
        panel.preset(name)
        said[name] = panel.describe(panel.result)
    assert len(set(said.values())) == len(said)
    panel.preset("as trained")
    assert panel.summary() == first
    assert Image.open(io.BytesIO(panel._image.value)).width > 600


def test_the_table_has_a_row_for_each_change(panel: PolicyPanel) -> None:
    panel.reset()
    rows = panel.table().rows
    assert rows[0] == ["changed", "success", "grasp", "closest, cm"]
    assert [row[0] for row in rows[1:]] == list(panel.inputs["change"].options)
