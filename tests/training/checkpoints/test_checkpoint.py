import errno
import json
import os
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.records import record_text
from motionlab.training.checkpoints.checkpoint import (
    has_checkpoint,
    load_weights,
    read_checkpoint,
    remove_checkpoints,
    roll_back,
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


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_failure_at_any_moment_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int
) -> None:
    """The first rename is that of the tensors, the second that of the record. fsync: file and folder, in turns."""
    write(tmp_path, 1)
    whole, calls = getattr(os, function), []

    def full(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(*arguments)

    monkeypatch.setattr(os, function, full)
    if function == "replace" and call == 3:
        write(tmp_path, 2)  # there is no third rename
        assert value(tmp_path) == (2.0, 2)
        return
    with pytest.raises(InputError, match="No space left"):
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
    with pytest.raises(InputError, match="changed content, expected the content with digest"):
        read_checkpoint(tmp_path)
    file.unlink()
    with pytest.raises(InputError, match="no file, expected a safetensors file"):
        read_checkpoint(tmp_path)
    for bad in (text[:40], "[]", "{}", ""):
        record.write_text(bad)
        with pytest.raises(InputError, match="a checkpoint record"):
            read_checkpoint(tmp_path)
    record.write_text(record_text({**json.loads(text), "format": 99}))
    with pytest.raises(InputError, match="format 99"):
        read_checkpoint(tmp_path)
    record.write_text(record_text({**json.loads(text), "tensors": "../other.safetensors"}))
    with pytest.raises(InputError, match="expected a name in this folder"):
        read_checkpoint(tmp_path)


def test_a_changed_record_is_refused_and_one_without_a_digest_is_read(tmp_path: Path) -> None:
    write(tmp_path, 7)
    record = tmp_path / "last.json"
    text = record.read_text()
    record.write_text(text.replace('"step": 7', '"step": 3'))
    with pytest.raises(InputError, match="last.json: found changed content"):
        read_checkpoint(tmp_path)
    earlier = {key: value for key, value in json.loads(text).items() if key != "record_sha256"}
    record.write_text(json.dumps(earlier))
    assert read_checkpoint(tmp_path)[1]["step"] == 7


def test_litter_of_killed_saves_is_swept(tmp_path: Path) -> None:
    for name in (".last-00000001-aa.xyz.safetensors", "last-00000001-bb.safetensors", ".last.abc.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / "notes.txt").write_text("not ours")
    write(tmp_path, 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 3 and {"last.json", "notes.txt"} < names


def test_remove(tmp_path: Path) -> None:
    for step in (1, 2):
        write_checkpoint(tmp_path, "last", step, {"x": torch.zeros(4)}, {}, keep=2)
    write(tmp_path, 1, "best")
    (tmp_path / "notes.txt").write_text("not ours")
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_newest_few_are_kept_and_any_can_be_taken_up_again(tmp_path: Path) -> None:
    for step in range(1, 6):
        write_checkpoint(tmp_path, "last", step, {"x": torch.full((4,), float(step))}, {"note": step}, keep=3)
    write(tmp_path, 2, "best")
    numbered = sorted(path.name for path in tmp_path.glob("step-*.json"))
    assert numbered == [f"step-{step:08d}.json" for step in (3, 4, 5)]
    assert len(list(tmp_path.glob("last-*.safetensors"))) == 3, "last and step-5 share a file"
    assert value(tmp_path, "step-00000003") == (3.0, 3)
    roll_back(tmp_path, 4)
    assert value(tmp_path) == (4.0, 4) and value(tmp_path, "best") == (2.0, 2)
    with pytest.raises(InputError, match="no checkpoint of step 2, expected one of 3, 4, 5"):
        roll_back(tmp_path, 2)


def test_a_run_that_was_taken_back_forgets_what_came_after(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        write_checkpoint(tmp_path, "last", step, {"x": torch.full((4,), float(step))}, {"note": step}, keep=3)
    roll_back(tmp_path, 2)
    write_checkpoint(tmp_path, "last", 3, {"x": torch.full((4,), 3.0)}, {"note": 3}, keep=3)
    assert sorted(path.name for path in tmp_path.glob("step-*.json")) == ["step-00000002.json", "step-00000003.json"]
    assert value(tmp_path) == (3.0, 3) and len(list(tmp_path.glob("last-*.safetensors"))) == 2


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
