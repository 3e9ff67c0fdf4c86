"""The schedule panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.views.schedules import ALL_SHAPES
from motionlab.widgets.schedule_panel import SchedulePanel


@pytest.fixture(scope="module")
def panel() -> SchedulePanel:
    return SchedulePanel()


def test_presets_tell_their_stories(panel: SchedulePanel) -> None:
    panel.preset("as it should be")
    assert panel.result.real == panel.result.meant and "≈100 % of what was meant" in panel.summary()
    panel.reset()
    panel.preset("total from the loader")
    assert panel.result.real[-1] > 0.95 and panel.result.meant[-1] < 0.01
    panel.reset()
    panel.preset("stepped per micro-batch")
    assert max(panel.result.real[len(panel.result.real) // 2 :]) > 0.9
    panel.reset()
    panel.preset("four processes count")
    assert panel.result.worked < 0.5
    assert bytes(panel._image.value).startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", ALL_SHAPES)
def test_every_shape_is_drawn(panel: SchedulePanel, shape: str) -> None:
    panel.reset()
    panel.set(shape=shape, floor=0.1, warmup=10, steps=200)
    assert len(panel.table().rows) == 10 and panel.table().rows[-1][0] == "199"


def test_a_warm_up_as_long_as_the_run_is_told(panel: SchedulePanel) -> None:
    panel.reset()
    panel.inputs["warmup"].value = 1000
    assert 'role="alert"' in panel._text.value
    panel.reset()
    with pytest.raises(InputError, match="steps"):
        panel.set(steps=1)
