import errno
import json
import os
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.training import checkpoint, weights
from motionlab.training.checkpoint import (
    has_checkpoint,
    load_weights,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)


def write(folder: Path, step: int, name: str = "last") -> None:
    write_checkpoint(folder, name, step, {"x": torch.full((4,), float(step))}, {"note": step})


def value(folder: Path, name: str = "last") -> tuple[float, int]:
    tensors, record = read_checkpoint(folder, name)
    return float(tensors["x"][0]), record["note"]


def test_round_trip_and_only_the_newest_is_kept(tmp_path: Path) -> None:
    for step in (1, 2, 2):
        write(tmp_path, step)
    write(tmp_path, 1, "best")
    assert value(tmp_path) == (2.0, 2) and value(tmp_path, "best") == (1.0, 1)
    assert len(list(tmp_path.iterdir())) == 4


def test_loading_needs_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("a checkpoint was unpickled")

    for module in ("pickle", "_pickle"):
        for name in ("load", "loads", "Unpickler"):
            monkeypatch.setattr(f"{module}.{name}", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    assert value(tmp_path) == (1.0, 1)


@pytest.mark.parametrize("moment", ["tensors", "hash", "record"])
def test_failure_at_any_moment_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    write(tmp_path, 1)

    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = {
        "tensors": (weights, "save_file"),
        "hash": (checkpoint, "sha256"),
        "record": (os, "replace"),  # reached first by the tensor file; the record is covered by the crash test
    }[moment]
    monkeypatch.setattr(*target, full)
    with pytest.raises((InputError, OSError), match="No space left"):
        write(tmp_path, 2)
    monkeypatch.undo()
    assert value(tmp_path) == (1.0, 1)
    assert len(list(tmp_path.iterdir())) == 2, "litter was left"


def test_a_missing_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    assert not has_checkpoint(tmp_path)
    with pytest.raises(InputError, match="found no last.json, .*Train first"):
        read_checkpoint(tmp_path)


def test_changed_missing_or_unreadable_parts(tmp_path: Path) -> None:
    write(tmp_path, 1)
    record = tmp_path / "last.json"
    text = record.read_text()
    file = tmp_path / json.loads(text)["tensors"]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\x00\x01")
    with pytest.raises(InputError, match="different bytes, expected sha256"):
        read_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(InputError, match="no file, expected sha256"):
        read_checkpoint(tmp_path)
    for bad in (text[:40], "[]", "{}", ""):
        record.write_text(bad)
        with pytest.raises(InputError, match="a checkpoint record"):
            read_checkpoint(tmp_path)
    record.write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(InputError, match="format 99"):
        read_checkpoint(tmp_path)


def test_litter_of_killed_saves_is_swept(tmp_path: Path) -> None:
    for name in (".last-00000001-aa.xyz.safetensors", "last-00000001-bb.safetensors", ".last.abc.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / "notes.txt").write_text("not ours")
    write(tmp_path, 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 3 and {"last.json", "notes.txt"} < names


def test_remove(tmp_path: Path) -> None:
    write(tmp_path, 1)
    write(tmp_path, 1, "best")
    remove_checkpoint(tmp_path, "last")
    assert not has_checkpoint(tmp_path) and has_checkpoint(tmp_path, "best")
    assert value(tmp_path, "best") == (1.0, 1)


def test_load_weights_takes_the_model_only_and_names_the_file(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    weight = torch.tensor([[1.0, 2.0]])
    write_checkpoint(tmp_path, "best", 7, {"model.weight": weight, "optimizer.weight:step": torch.ones(())}, {})
    load_weights(model, tmp_path)
    assert torch.equal(model.weight, weight)
    with pytest.raises(InputError, match=r"best-00000007-.*found weight \[1, 2\] instead of \[3, 2\]"):
        load_weights(torch.nn.Linear(2, 3, bias=False), tmp_path)
    with pytest.raises(InputError, match="no last.json"):
        load_weights(model, tmp_path, "last")
