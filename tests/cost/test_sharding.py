"""Bytes under DDP and ZeRO, against the paper's own table and against each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionlab.cost.sharding import NUMBERS, STAGES, bytes_a_gpu, bytes_sent
from motionlab.errors import InputError


@pytest.mark.parametrize(
    ("gpus", "gb"),
    [
        (1, (120, 120, 120, 120)),
        (4, (120, 52.5, 41.3, 30)),
        (64, (120, 31.4, 16.6, 1.88)),
        (1024, (120, 30.1, 15.1, 0.12)),
    ],
)
def test_the_table_of_the_zero_paper(gpus: int, gb: tuple[float, ...]) -> None:
    """7.5 billion parameters, table 1 of arXiv 1910.02054; DDP is not in parts there either."""
    found = [bytes_a_gpu(7_500_000_000, gpus, stage, "bf16 + fp32 copy").total / 1e9 for stage in STAGES]
    assert found == pytest.approx(gb, rel=0.025)  # the paper rounds 0.117 to 0.12


@given(parameters=st.integers(1, 10**10), gpus=st.integers(1, 1000), numbers=st.sampled_from(sorted(NUMBERS)))
def test_each_stage_holds_no_more_than_the_one_before(parameters: int, gpus: int, numbers: str) -> None:
    totals = [bytes_a_gpu(parameters, gpus, stage, numbers).total for stage in STAGES]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == NUMBERS[numbers].total * parameters
    assert gpus * totals[3] >= totals[0]  # nothing is lost


def test_a_gathered_unit_counts_for_fsdp_only() -> None:
    plain, gathered = (bytes_a_gpu(1000, 4, "zero3", unit=unit) for unit in (0, 200))
    assert gathered.weights - plain.weights == 800 and gathered.gradients == plain.gradients
    assert bytes_a_gpu(1000, 4, "zero2", unit=200) == bytes_a_gpu(1000, 4, "zero2")
    assert bytes_a_gpu(1000, 1, "zero3", unit=200) == bytes_a_gpu(1000, 1, "ddp")  # no other GPU to gather from


def test_traffic() -> None:
    assert bytes_sent(1000, 1, "zero3") == 0
    assert bytes_sent(1000, 10**6) == pytest.approx(8000, rel=1e-3)
    assert bytes_sent(1000, 8, "zero3") == 1.5 * bytes_sent(1000, 8, "ddp") == 1.5 * bytes_sent(1000, 8, "zero2")


@pytest.mark.parametrize(
    ("more", "message"),
    [({"stage": "zero4"}, "zero4"), ({"numbers": "int8"}, "int8"), ({"gpus": 0}, "gpus: found 0")],
)
def test_what_is_not_known(more: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        bytes_a_gpu(**{"parameters": 10, "gpus": 2, **more})  # type: ignore[arg-type]
