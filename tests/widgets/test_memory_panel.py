"""The panel of lesson 04 without a browser."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from motionlab.cost.settings import MIB, RESERVE
from motionlab.errors import InputError
from motionlab.widgets.memory_panel import MemoryPanel


@pytest.fixture(scope="module")
def panel() -> MemoryPanel:
    return MemoryPanel()


@pytest.fixture(autouse=True)
def _back(panel: MemoryPanel) -> None:
    panel.reset()


def press(panel: MemoryPanel) -> None:
    button = panel._buttons.children[-1]
    button.click()


def test_the_published_step_and_its_matrix(panel: MemoryPanel) -> None:
    panel.preset("published")
    assert "fits | peak ≈372.3 MiB, most of it activations" in panel.summary()
    panel.preset("with its one-hot matrix")
    assert "peak ≈982.4 MiB, most of it one-hot matrix" in panel.summary()
    panel.set(memory_gib=1)
    assert "does not fit" in panel.summary() and not panel.result.fits


def test_every_preset_sets_every_control_but_the_machine(panel: MemoryPanel) -> None:
    for name, values in panel.PRESETS.items():
        panel.preset(name)
        assert set(panel.inputs) - set(values) == {"device", "memory_gib"}


def test_the_largest_batch_is_the_border_of_the_verdict(panel: MemoryPanel) -> None:
    panel.set(memory_gib=1, batch=64)
    most = panel.result.batch
    for batch in (16, 32, 64, 128, 256):
        panel.set(batch=batch)
        assert panel.result.fits == (batch <= most)
        assert panel.result.fits == (panel.result.memory.peak <= 2**30 - RESERVE)


def test_a_measured_step_is_shown_and_agrees(panel: MemoryPanel) -> None:
    panel.set(batch=4, window=32, width=64)
    before = bytes(panel._image.value)
    assert panel.measured(panel.result) is None and "measured" not in panel.summary()
    press(panel)
    measured = panel.measured(panel.result)
    assert measured is not None and panel.result.agrees(measured)
    assert panel.summary().endswith("MiB, within 10 %") and bytes(panel._image.value) != before
    assert "measured peak" in repr(panel.table())
    panel.set(batch=8)
    assert "measured" not in panel.summary(), "it was measured for another batch"
    panel.set(batch=4)
    assert "measured" in panel.summary()


def test_what_would_not_fit_is_not_tried(panel: MemoryPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * MIB))
    with pytest.raises(InputError, match="found a step of 372 MiB, expected at most half of the free memory, 50 MiB"):
        panel.measure()
    press(panel)
    assert 'role="alert"' in panel._text.value and "smaller batch" in panel._text.value


def test_what_would_take_long_is_not_tried(panel: MemoryPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**15))
    panel.set(batch=1024)
    with pytest.raises(InputError, match="98,304 frames at 512 channels"):
        panel.measure()


def test_compute_is_pure_and_the_table_adds_up() -> None:
    params = MemoryPanel().params
    fit = MemoryPanel.compute(**params)
    assert fit == MemoryPanel.compute(**params)
    rows = {row[0]: row[1] for row in MemoryPanel().rows(fit)[1:]}
    parts = [float(size) for name, size in rows.items() if name != "peak"]
    assert sum(parts) == pytest.approx(float(rows["peak"]), abs=0.5)
