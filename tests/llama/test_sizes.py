"""The published table: total and decoder-only parameter counts, by formula and on the meta device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import SIZES, parameter_count, swiglu_hidden
from motionlab.llama.variant import LlamaVariant

# name: (total with K = 64,000 and text_dim = 2048, decoder layers with the last norm)
PUBLISHED = {
    "44M": (93_858_304, 27_271_680),
    "111M": (184_833_792, 84_953_856),
    "343M": (441_504_768, 308_331_520),
    "775M": (897_941_760, 731_475_200),
    "1B": (1_558_863_360, 1_359_103_488),
    "3B": (3_404_764_800, 2_988_598_400),
    "5B": (5_389_897_728, 4_857_204_736),
    "6B": (6_199_431_168, 5_666_738_176),
    "7B": (7_818_498_048, 7_285_805_056),
    "13B": (13_354_050_560, 12_688_184_320),
    "30B": (32_968_585_728, 32_102_959_616),
    "65B": (65_826_758_656, 64_761_372_672),
}


def test_the_table_is_complete() -> None:
    assert list(SIZES) == list(PUBLISHED)


@pytest.mark.parametrize("name", SIZES)
def test_totals_by_formula_and_by_module(name: str) -> None:
    total, decoder = PUBLISHED[name]
    size = SIZES[name]._asdict()
    assert parameter_count(64_000, **size, text_dim=2048) == total
    with torch.device("meta"):
        model = MotionLlama(64_000, **size, text_dim=2048)
    assert sum(parameter.numel() for parameter in model.parameters()) == total
    parts = (*model.blocks.parameters(), *model.transformer["ln_f"].parameters())
    assert sum(parameter.numel() for parameter in parts) == decoder


@pytest.mark.parametrize("more", [{}, {"qk_norm": True}, {"tied_embeddings": True}, {"mask_token": True}])
def test_formula_with_our_own_settings(more: dict[str, bool]) -> None:
    arguments: dict[str, Any] = {"n_layer": 3, "n_head": 6, "n_kv_heads": 2, "dim": 48, "text_dim": 10}
    model = MotionLlama(50, **arguments, variant=LlamaVariant(hidden=100, **more))
    assert sum(p.numel() for p in model.parameters()) == parameter_count(50, **arguments, hidden=100, **more)


PUBLISHED_HIDDEN = {
    512: 1536,
    768: 2048,
    1024: 2816,
    1280: 3584,
    1536: 4096,
    3200: 8704,
    4096: 11008,
    5120: 13824,
    6656: 17920,
    8192: 22016,
}


@pytest.mark.parametrize(("dim", "hidden"), PUBLISHED_HIDDEN.items())
def test_hidden_widths(dim: int, hidden: int) -> None:
    assert swiglu_hidden(dim) == hidden
