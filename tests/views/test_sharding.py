"""The memory of a GPU, stage by stage."""

from __future__ import annotations

import pytest

from motionlab.cost.sharding import STAGES
from motionlab.views.sharding import compute_sharding


def test_every_stage_holds_less_and_one_gpu_gains_nothing() -> None:
    many = compute_sharding(size="3B", gpus=40, numbers="fp32", gpu_gb=80)
    totals = [many.held[stage].total for stage in STAGES]
    assert totals == sorted(totals, reverse=True) and len(set(totals)) == len(totals)
    alone = compute_sharding(size="3B", gpus=1, numbers="fp32", gpu_gb=80)
    assert len({alone.held[stage].total for stage in ("ddp", "zero1", "zero2")}) == 1
    assert alone.held["ddp"].total == many.held["ddp"].total and set(alone.sent.values()) == {0}


@pytest.mark.parametrize("stage", STAGES)
def test_the_first_that_fits_is_the_simplest(stage: str) -> None:
    held = compute_sharding(size="3B", gpus=40, numbers="fp32", gpu_gb=1).held
    enough = compute_sharding(size="3B", gpus=40, numbers="fp32", gpu_gb=held[stage].total / 1e9 * (1 + 1e-9))
    assert enough.first_that_fits == stage
    assert compute_sharding(size="3B", gpus=40, numbers="fp32", gpu_gb=0).first_that_fits is None
