"""A sharded checkpoint is one unit, as a plain one is. A world of one writes it too, so these tests need no others."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict_saver import save

from motionlab.errors import InputError
from motionlab.training.checkpoints import sharded_parts
from motionlab.training.checkpoints.checkpoint import (
    load_weights,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from motionlab.training.checkpoints.sharded import read_sharded, write_sharded


def tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {
        "model.weight": torch.full((2, 3), value),
        "optimizer.weight:exp_avg": torch.full((2, 3), -value),
        "optimizer.weight:step": torch.tensor(7.0),
        "ema.weight": torch.full((2, 3), value + 0.5),
    }


def folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.glob("*.dcp"))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_sharded(tmp_path, ["last"], 12, tensors(), {"mark": 5})
    read, record = read_checkpoint(tmp_path)
    assert record["step"] == 12 and record["mark"] == 5 and folders(tmp_path) == [record["tensors"]]
    assert read.keys() == tensors().keys()
    assert all(torch.equal(read[name], value) for name, value in tensors().items())


def test_best_is_a_plain_checkpoint_of_the_averaged_model(tmp_path: Path) -> None:
    write_sharded(tmp_path, ["best", "last"], 3, tensors(), {})
    model = nn.Linear(3, 2, bias=False)
    load_weights(model, tmp_path, "best")
    assert torch.equal(model.weight, torch.full((2, 3), 1.5))
    assert len(folders(tmp_path)) == 1 and len(list(tmp_path.glob("best-*.safetensors"))) == 1


def test_the_older_one_goes_when_the_newer_one_stands(tmp_path: Path) -> None:
    for step in (1, 2):
        write_sharded(tmp_path, ["last"], step, tensors(step), {})
    assert len(folders(tmp_path)) == 1 and float(read_checkpoint(tmp_path)[0]["model.weight"][0, 0]) == 2
    for step in (3, 4, 5):
        write_sharded(tmp_path, ["last"], step, tensors(step), {}, keep=2)
    assert [name[:13] for name in folders(tmp_path)] == ["last-00000004", "last-00000005"]
    remove_checkpoints(tmp_path)
    assert folders(tmp_path) == [] and list(tmp_path.glob("*.json")) == []


def test_a_failed_write_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sharded(tmp_path, ["last"], 1, tensors(), {})

    def full(*args: Any, **more: Any) -> None:
        save(*args, **more)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sharded_parts, "save", full)
    with pytest.raises(InputError, match="No space left on device while writing"):
        write_sharded(tmp_path, ["last"], 2, tensors(2), {})
    assert len(folders(tmp_path)) == 1 and read_checkpoint(tmp_path)[1]["step"] == 1


@pytest.mark.parametrize("file", [".metadata", "__0_0.distcp"])
def test_a_file_that_is_not_as_written_is_named(tmp_path: Path, file: str) -> None:
    write_sharded(tmp_path, ["last"], 1, tensors(), {})
    path = next(tmp_path.glob(f"*.dcp/{file}"))
    path.write_bytes(path.read_bytes() + b"?")
    for read in (read_checkpoint, lambda folder: read_sharded(folder, nn.Linear(3, 2))):
        with pytest.raises(InputError, match=f"{file} missing or changed"):
            read(tmp_path)


def test_a_plain_checkpoint_can_be_read_in_parts(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "last", 4, tensors(), {})
    read, record = read_sharded(tmp_path, nn.Linear(3, 2, bias=False))
    assert record["step"] == 4 and torch.equal(read["model.weight"], tensors()["model.weight"])
