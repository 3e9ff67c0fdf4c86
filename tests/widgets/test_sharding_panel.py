"""The panel of lesson 15 without a browser."""

from __future__ import annotations

import pytest

from motionlab.errors import InputError
from motionlab.llama.model import MotionLlama
from motionlab.llama.sizes import SIZES, parameter_count
from motionlab.views.kv_cache import CODES, TEXT_DIM
from motionlab.widgets.sharding_panel import OFFERED, ShardingPanel


@pytest.fixture(scope="module")
def panel() -> ShardingPanel:
    return ShardingPanel()


def test_the_published_runs(panel: ShardingPanel) -> None:
    panel.preset("published 3B")
    assert "3B on 40: GB a GPU: DDP ≈27.2" in panel.summary() and "the first that fits is DDP" in panel.summary()
    panel.preset("published 7B")
    assert "the first that fits is ZeRO 1 (activations" in panel.summary()


def test_what_fits_nowhere(panel: ShardingPanel) -> None:
    panel.preset("7B, one GPU")
    assert panel.result.first_that_fits is None and "none fits" in panel.summary()
    panel.preset("7B, eight small GPUs")
    assert panel.result.first_that_fits == "zero3"


@pytest.mark.parametrize("size", OFFERED)
def test_fsdp_holds_a_block_and_the_rest_whole(size: str) -> None:
    result = ShardingPanel.compute(size=size, gpus=512, numbers="fp32", gpu_gb=80)
    shape = SIZES[size]
    assert result.parameters == parameter_count(CODES, **shape._asdict(), text_dim=TEXT_DIM)
    outside = 2 * CODES * shape.dim  # embedding and head, nearly all of what is in no block
    assert 4 * outside < result.held["zero3"].weights < 4 * (outside + 0.2 * result.parameters)


def test_the_block_is_that_of_the_real_model() -> None:
    model = MotionLlama(10, n_layer=1, n_head=12, dim=768, text_dim=TEXT_DIM)
    block = sum(p.numel() for p in model.blocks[0].parameters())
    one, two = (parameter_count(CODES, n_layer=n, n_head=12, dim=768, text_dim=TEXT_DIM) for n in (1, 2))
    assert two - one == block


def test_table_and_picture(panel: ShardingPanel) -> None:
    panel.set(size="111M", gpus=4, numbers="fp32", gpu_gb=16)
    head, *rows = panel.rows(panel.result)
    assert [row[0] for row in rows] == ["DDP", "ZeRO 1", "ZeRO 2", "ZeRO 3 (FSDP)"] and len(head) == 6
    assert bytes(panel._image.value).startswith(b"\x89PNG")
    with pytest.raises(InputError):
        panel.set(size="70B")
