"""The loss-scale panel without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.widgets.loss_scale_panel import LossScalePanel


def test_presets_tell_their_stories() -> None:
    panel = LossScalePanel()
    panel.preset("torch's defaults")
    assert "120 steps, 0 skipped, grown 0 times | log2 of the scale ≈16 at first, ≈16 at last" in panel.summary()
    panel.preset("far too large")
    first = panel.result
    assert first.skipped[:3] == (True,) * 3 and not first.skipped[-1]
    panel.preset("too small")
    panel.set(gradients="shrinking")
    assert max(panel.result.lost) > 0.4 and not any(panel.result.skipped)
    panel.preset("eager")
    panel.set(gradients="bursts")
    assert sum(panel.result.skipped) > 4 and max(panel.result.lost[-1:]) < 0.01


def test_a_measured_training_is_one_more_choice(tmp_path: Path) -> None:
    kept = {"name": "mine", "exponents": [0, 8], "ceiling": [9.0] * 4, "lost": [[0.5, 0.0]] * 4}
    path = tmp_path / "kept.json"
    path.write_text(json.dumps({"gradients": kept}))
    panel = LossScalePanel(path)
    panel.set(start=10, interval=1)
    assert "4 steps, 2 skipped" in panel.summary() and panel.result.gradients.name == "mine"
    table = panel.table().rows
    assert table[0][0] == "step" and [row[2] for row in table[1:]] == ["yes", "no", "yes", "no"]
    assert bytes(panel._image.value).startswith(b"\x89PNG")
    with pytest.raises(InputError, match="gradients"):
        LossScalePanel().set(gradients="measured")
