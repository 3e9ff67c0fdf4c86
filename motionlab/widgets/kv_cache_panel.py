"""The panel of lesson 06: the size of a decoder's key-value cache, and how many motions fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets as W

from motionlab.cost.settings import MIB, NUMBER_BYTES
from motionlab.llama.sizes import SIZES
from motionlab.views.cache_figures import CacheView, cache_figure
from motionlab.views.kv_cache import compute_cache
from motionlab.widgets.panel import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTHS = (64, 150, 301, 512, 1024, 2048, 4096, 8192, 32768)
START = {"size": "111M", "share": 1, "layers": 0, "batch": 1, "length": 301, "precision": "fp32"}


class KVCachePanel(Panel):
    """Choose a size, how many query heads share a key-value head, layers, batch, length and precision."""

    PRESETS: ClassVar = {
        "published 7B": START | {"size": "7B", "precision": "bf16"},
        "7B, groups of 4": START | {"size": "7B", "precision": "bf16", "share": 4},
        "many motions": START | {"batch": 256},
        "long, as a language model": START | {"size": "7B", "precision": "bf16", "length": 32768},
    }

    def make_controls(self) -> dict[str, Any]:
        style = {"description_width": "130px"}
        batches = [2**power for power in range(11)]
        return {
            "size": W.Dropdown(options=list(SIZES), value=START["size"], description="size", style=style),
            "share": W.ToggleButtons(
                options=[("multi-head", 1), ("share by 2", 2), ("share by 4", 4), ("multi-query", 0)],
                value=1,
                description="key-value heads",
                style=style | {"button_width": "100px"},
            ),
            "layers": W.IntSlider(0, 0, 80, description="layers (0: of size)", style=style),
            "batch": W.SelectionSlider(options=batches, value=1, description="motions at once", style=style),
            "length": W.SelectionSlider(options=LENGTHS, value=301, description="positions", style=style),
            "precision": W.ToggleButtons(options=list(NUMBER_BYTES), value="fp32", description="numbers", style=style),
        }

    @staticmethod
    def compute(**params: Any) -> CacheView:
        return compute_cache(params.pop("size"), **params)

    def picture(self, result: CacheView) -> Figure:
        return cache_figure(result)

    def describe(self, result: CacheView) -> str:
        settings = result.settings
        return (
            f"{settings.n_layer} layers, {settings.n_head} query heads, {settings.n_kv_heads} key-value heads of "
            f"{settings.head_dim} | cache {settings.bytes:,} bytes = ≈{settings.bytes / MIB:,.1f} MiB, "
            f"≈{settings.bytes / result.weights:.1%} of the weights"
        )

    def rows(self, result: CacheView) -> Sequence[Sequence[str]]:
        settings = result.settings
        lines: list[Sequence[str]] = [("key-value heads", "share by", "cache (bytes)", "one position of one motion")]
        for groups, size in result.shares.items():
            share = str(settings.n_head // groups)
            lines.append((str(groups), share, f"{size:,}", f"{result.of_position[groups]:,}"))
        return lines
