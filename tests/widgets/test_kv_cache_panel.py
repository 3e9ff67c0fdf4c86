"""The cache panel without a browser."""

from __future__ import annotations

import pytest

from motionlab.llama.sizes import SIZES
from motionlab.widgets.kv_cache_panel import KVCachePanel


@pytest.fixture(scope="module")
def panel() -> KVCachePanel:
    return KVCachePanel()


def test_what_it_says(panel: KVCachePanel) -> None:
    panel.reset()
    assert "12 layers, 12 query heads, 12 key-value heads of 64 | cache 22,192,128 bytes = ≈21.2 MiB" in panel.summary()
    assert panel.table().rows[-1] == ["1", "12", "1,849,344", "6,144"]
    assert bytes(panel._image.value).startswith(b"\x89PNG")
    assert repr(panel) == "<KVCachePanel: size, share, layers, batch, length, precision>"


def test_every_control_acts(panel: KVCachePanel) -> None:
    panel.reset()
    start = panel.params
    before = panel.compute(**start).settings.bytes
    for change, factor in (
        ({"share": 4}, 1 / 4), ({"share": 0}, 1 / 12), ({"layers": 6}, 1 / 2), ({"batch": 8}, 8),
        ({"length": 8192}, 8192 / 301), ({"precision": "bf16"}, 1 / 2), ({"size": "343M"}, 24 * 1024 / (12 * 768)),
    ):  # fmt: skip
        assert panel.compute(**start | change).settings.bytes == pytest.approx(before * factor)


def test_presets_and_sizes(panel: KVCachePanel) -> None:
    panel.preset("7B, groups of 4")
    assert panel.result.settings.bytes * 4 == panel.compute(**panel.PRESETS["published 7B"]).settings.bytes
    long = panel.compute(**panel.PRESETS["long, as a language model"])
    assert long.settings.bytes > long.weights
    for size in SIZES:
        assert panel.compute(**panel.params | {"size": size, "share": 0}).settings.n_kv_heads == 1
