"""One process needs neither DDP nor FSDP. test_two_processes.py tests two."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

from motionlab.config import TrainConfig
from motionlab.errors import InputError
from motionlab.training.checkpoints.rng import rng_state
from motionlab.training.distributed import World
from motionlab.training.parallel import Parallel, plain, require_possible


def test_alone_the_step_is_called_as_it_is() -> None:
    model = nn.Linear(2, 1)
    alone = Parallel(model, lambda batch: ("seen", batch), World(), "fsdp")
    assert alone(3) == ("seen", 3) and not alone.sharded and str(alone) == "1"
    assert isinstance(alone.accumulating(more=True), contextlib.nullcontext)
    rows = torch.ones(2, 3)
    assert alone.sum_rows(rows) is rows
    with alone.whole():
        assert [name for name, _ in model.named_parameters()] == ["weight", "bias"]


def test_a_model_that_is_all_frozen_is_refused() -> None:
    with pytest.raises(InputError, match="no trainable parameter"):
        Parallel(nn.Linear(2, 1).requires_grad_(False), len, World())


def test_the_generators_of_another_world_are_not_taken() -> None:
    """Rank 0 continues with the record's; the others restart, each with its own seed, the same after each resume."""
    model, before = nn.Linear(2, 1), torch.get_rng_state()
    record = {"settings": {"seed": 3}, "step": 10, "rng_of_ranks": [rng_state()] * 4}
    first = Parallel(model, len, World())
    first.restore_rng(record)
    assert torch.equal(torch.get_rng_state(), before)
    drawn = []
    for rank in (1, 2, 1):
        other = Parallel(model, len, World())
        other.world = World(rank, 3)
        other.restore_rng(record)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.parametrize(
    ("more", "precision", "message"),
    [
        ({"auto_batch": True}, "fp32", "auto_batch: found true with 2 processes"),
        ({"parallel": "fsdp"}, "fp16", "precision: found fp16 with parallel: fsdp"),
    ],
)
def test_what_several_processes_cannot_do(more: dict[str, object], precision: str, message: str) -> None:
    settings = TrainConfig(**more)  # type: ignore[arg-type]
    require_possible(settings, precision, World())
    with pytest.raises(InputError, match=message):
        require_possible(settings, precision, World(0, 2))


def test_what_several_processes_can_do() -> None:
    require_possible(TrainConfig(parallel="fsdp"), "bf16", World(0, 2))
    require_possible(TrainConfig(), "fp16", World(0, 2))


def test_a_plain_tensor_is_plain() -> None:
    tensor = torch.ones(2)
    assert plain(tensor) is tensor
