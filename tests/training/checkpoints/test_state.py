import json
from pathlib import Path
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.training.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from motionlab.training.checkpoints.state import Counters, optimizer_tensors, pack, unpack, versions
from motionlab.training.optimizer import make_optimizer
from motionlab.training.precision import make_precision


def one_step(toy: Any, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    toy.step(toy.batches(0)).total.backward()
    optimizer.step()


def test_everything_comes_back_through_the_disk(toy: Any, settings: Any, tmp_path: Path) -> None:
    a, b = toy(), toy()
    options, counters = settings(precision="fp16"), Counters(step=3, micro_step=9, skipped=2, best=0.1 + 0.2)
    counters.window = {"sums": {"loss": 1 / 3}, "items": 5}
    optimizer, other = make_optimizer(a.model, lr=0.1), make_optimizer(b.model, lr=0.1)
    one_step(a, optimizer)
    scaler, other_scaler = make_precision("cpu", "fp16").scaler, make_precision("cpu", "fp16").scaler
    scaler.load_state_dict({**scaler.state_dict(), "scale": 256.0, "_growth_tracker": 7})
    write_checkpoint(tmp_path, "last", 3, *pack(a.model, optimizer, scaler, counters, options, {"depth": 3}))
    drawn = torch.rand(3)

    again = unpack(*read_checkpoint(tmp_path), b.model, other, other_scaler, options, {"depth": 3}, "here")
    assert again == counters
    assert torch.equal(torch.rand(3), drawn)
    assert other_scaler.state_dict() == scaler.state_dict()
    mine, others = optimizer_tensors(a.model, optimizer), optimizer_tensors(b.model, other)
    assert mine.keys() == others.keys() and len(mine) == 3 * 6  # step and two moments of six parameters
    assert all(torch.equal(mine[key], others[key]) for key in mine)


def test_the_rate_is_not_taken_from_the_file(toy: Any, settings: Any) -> None:
    a, b = toy(), toy()
    optimizer, other = make_optimizer(a.model, lr=0.1, weight_decay=0.5), make_optimizer(b.model, lr=0.2)
    scaler = make_precision("cpu").scaler
    one_step(a, optimizer)
    tensors, record = pack(a.model, optimizer, scaler, Counters(), settings(), {})
    unpack(tensors, json.loads(json.dumps(record)), b.model, other, scaler, settings(), {}, "here")
    assert [(group["lr"], group["weight_decay"]) for group in other.param_groups] == [(0.2, 0.01), (0.2, 0.0)]


def test_moments_lie_in_memory_as_their_parameters_do(settings: Any) -> None:
    """Fused AdamW pairs numbers by their place in memory. A transposed weight must not get other moments."""

    def turned() -> torch.nn.Linear:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 4, bias=False)
        model.weight = torch.nn.Parameter(model.weight.detach().T.contiguous().T)  # [4, 3], but column after column
        return model

    def step(model: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        (model.weight * torch.arange(12.0).view(4, 3)).square().sum().backward()
        optimizer.step()

    a, b = turned(), turned()
    optimizer, other = make_optimizer(a, lr=0.1), make_optimizer(b, lr=0.1)
    scaler = make_precision("cpu").scaler
    step(a, optimizer)
    tensors, record = pack(a, optimizer, scaler, Counters(), settings(), {})
    read = {key: value.contiguous().clone() for key, value in tensors.items()}  # as a file gives them back
    unpack(read, json.loads(json.dumps(record)), b, other, scaler, settings(), {}, "here")
    step(a, optimizer)
    step(b, other)
    assert torch.equal(a.weight, b.weight)


def test_another_freezing_is_refused(toy: Any, settings: Any) -> None:
    a, b = toy(), toy()
    optimizer, scaler = make_optimizer(a.model, lr=0.1), make_precision("cpu").scaler
    one_step(a, optimizer)
    tensors, record = pack(a.model, optimizer, scaler, Counters(), settings(), {})
    b.model.inner.requires_grad_(False)
    with pytest.raises(InputError, match="here: found optimizer state for inner.bias, .*Freeze the same parts"):
        unpack(tensors, record, b.model, make_optimizer(b.model, lr=0.1), scaler, settings(), {}, "here")


DAMAGES: dict[str, Any] = {
    "counters": {"step": "3"},
    "settings": [],
    "architecture": None,
    "scaler": {"scale": 1.0},
    "rng": {"python": [3, "", None]},
}


@pytest.mark.parametrize("part", DAMAGES)
@pytest.mark.parametrize("gone", [True, False])
def test_a_damaged_record_is_one_line_and_changes_nothing(toy: Any, settings: Any, part: str, gone: bool) -> None:
    a, b = toy(), toy()
    optimizer, scaler = make_optimizer(a.model, lr=0.1), make_precision("cpu", "fp16").scaler
    one_step(a, optimizer)
    tensors, record = pack(a.model, optimizer, scaler, Counters(), settings(), {})
    damaged = {key: value for key, value in record.items() if key != part} if gone else {**record, part: DAMAGES[part]}
    before, drawn = b.model.state_dict()["inner.bias"].clone(), torch.get_rng_state()
    with pytest.raises(InputError, match="here: found .*, expected the record of a checkpoint"):
        unpack(tensors, damaged, b.model, make_optimizer(b.model, lr=0.1), scaler, settings(), {}, "here")
    assert torch.equal(b.model.state_dict()["inner.bias"], before) and torch.equal(torch.get_rng_state(), drawn)


def test_versions_name_what_changes_numbers() -> None:
    assert versions()["torch"] == torch.__version__
    assert versions().keys() == {"python", "motionlab", "torch", "numpy", "safetensors"}
