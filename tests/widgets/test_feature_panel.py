"""The panel of the features without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.widgets.feature_panel import CLIPS, FeaturePanel


@pytest.fixture(scope="module")
def panel() -> FeaturePanel:
    return FeaturePanel()


def test_controls_act_and_every_clip_can_be_shown(panel: FeaturePanel) -> None:
    assert repr(panel) == "<FeaturePanel: clip, moment, slice, joint>"
    for clip in CLIPS:
        panel.set(clip=clip, moment=1.0)
        assert panel.result.clip == clip and panel.result.frame == len(panel.result.curves) - 1
    panel.reset()
    assert "frame 18 of 38 | numbers 38 to 40" in panel.summary()
    assert bytes(panel._image.value).startswith(b"\x89PNG")


def test_the_pelvis_never_moves_sideways(panel: FeaturePanel) -> None:
    panel.preset("never moves")
    assert [row[2:] for row in panel.table().rows[1::2]] == [["0.000"] * 3] * 2  # x and z
    with pytest.raises(InputError, match="slice"):
        panel.set(slice="speed")
