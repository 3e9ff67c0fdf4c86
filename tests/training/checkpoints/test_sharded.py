"""A sharded checkpoint is one unit, as a plain one is. A world of one writes it too, so these tests need no others."""

from __future__ import annotations

import errno
import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict_saver import save

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files.records import write_record
from motionlab.training.checkpoints.checkpoint import (
    load_weights,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from motionlab.training.checkpoints.convert_sharded import main
from motionlab.training.checkpoints.sharded import read_sharded, write_sharded
from motionlab.training.checkpoints.sharded_parts import INDEX


def tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {
        "model.weight": torch.full((2, 3), value),
        "optimizer.weight:exp_avg": torch.full((2, 3), -value),
        "optimizer.weight:step": torch.tensor(7.0),
        "ema.weight": torch.full((2, 3), value + 0.5),
    }


def folders(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.glob("*.parts"))


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

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left on device while writing"):
        write_sharded(tmp_path, ["last"], 2, tensors(2), {})
    monkeypatch.undo()
    assert len(folders(tmp_path)) == 1 and read_checkpoint(tmp_path)[1]["step"] == 1


@pytest.mark.parametrize("file", ["index.json", "part-0.safetensors"])
def test_a_file_that_is_not_as_written_is_named(tmp_path: Path, file: str) -> None:
    write_sharded(tmp_path, ["last"], 1, tensors(), {})
    path = next(tmp_path.glob(f"*.parts/{file}"))
    path.write_bytes(path.read_bytes() + b"?")
    for read in (read_checkpoint, lambda folder: read_sharded(folder, nn.Linear(3, 2))):
        with pytest.raises(InputError, match=f"{file} missing or changed"):
            read(tmp_path)


def test_a_plain_checkpoint_can_be_read_in_parts(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "last", 4, tensors(), {})
    read, record = read_sharded(tmp_path, nn.Linear(3, 2, bias=False))
    assert record["step"] == 4 and torch.equal(read["model.weight"], tensors()["model.weight"])


def with_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the index of the checkpoint as somebody would who also knows about its digests."""
    path = next(folder.glob(f"*.parts/{INDEX}"))
    index = json.loads(path.read_text())
    change(index["tensors"])
    write_record(path, index)
    record = json.loads((folder / "last.json").read_text())
    record["sha256"][INDEX] = sha256(path)
    write_record(folder / "last.json", record)


WEIGHT, STEP = "model.weight", "optimizer.weight:step"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index[WEIGHT].update(shape=[2, 4]), "parts that do not fill model.weight exactly once"),
        (lambda index: index[WEIGHT].update(shape=[2, 1 << 40]), "parts that do not fill model.weight exactly once"),
        (lambda index: index[WEIGHT].update(shape=[2, -3]), r"shape \[2, -3\]"),
        (lambda index: index[WEIGHT].update(shape=[6]), "a part of model.weight outside of it"),
        (lambda index: index[WEIGHT].update(dtype="F64"), "model.weight in part-0.safetensors: F32"),
        (lambda index: index[WEIGHT].update(dtype="Q7"), "model.weight of type Q7"),
        (lambda index: index[WEIGHT]["parts"][0].update(offset=[1, 0]), "a part of model.weight outside of it"),
        (lambda index: index[WEIGHT]["parts"][0].update(offset=[-1, 0]), "a part of model.weight outside of it"),
        (lambda index: index[WEIGHT]["parts"][0].update(offset=[0]), "a part of model.weight outside of it"),
        (lambda index: index[WEIGHT]["parts"][0].update(shape=[3, 2]), "model.weight in part-0.safetensors"),
        (lambda index: index[WEIGHT]["parts"][0].update(file="../last.json"), "no model.weight in ../last.json"),
        (lambda index: index[WEIGHT]["parts"].append(index[WEIGHT]["parts"][0]), "no model.weight in part-0"),
        (lambda index: index[WEIGHT]["parts"].clear(), "parts that do not fill model.weight exactly once"),
        (lambda index: index[STEP].update(parts=[]), f"parts that do not fill {STEP} exactly once"),
        (lambda index: index.pop(STEP), f"{STEP} in part-0.safetensors, which the index does not name"),
        (lambda index: index[STEP].pop("parts"), "parts"),
        (lambda index: index[STEP].update(shape="x"), "shape"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    write_sharded(tmp_path, ["last"], 1, tensors(), {})
    with_index(tmp_path, change)
    for read in (read_checkpoint, lambda folder: read_sharded(folder, nn.Linear(3, 2))):
        with pytest.raises(InputError, match=message):
            read(tmp_path)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A checkpoint as torch's own writer, and earlier versions, made it; one record more names its folder."""
    folder = tmp_path / "llama" / "checkpoints"
    write_sharded(folder, ["last"], 7, tensors(), {"mark": 5}, keep=2)
    (parts,) = folders(folder)
    made = folder / f"{Path(parts).stem}.dcp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(tensors(), checkpoint_id=str(made), no_dist=True)
    digests = {path.name: sha256(path) for path in made.iterdir()}
    for name in ("last.json", "step-00000007.json"):
        record = json.loads((folder / name).read_text())
        write_record(folder / name, {**record, "tensors": made.name, "sha256": digests})
    shutil.rmtree(folder / parts)
    return folder


def test_an_old_one_is_refused_with_the_command_that_converts_it(old: Path) -> None:
    command = f"python -m motionlab.training.checkpoints.convert_sharded {old} --trust-pickle"
    for read in (read_checkpoint, lambda folder: read_sharded(folder, nn.Linear(3, 2))):
        with pytest.raises(InputError, match="a pickled index.*If you trust whoever wrote") as caught:
            read(old)
        assert command in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [[], ["--trust-pickle"], ["FOLDER"], ["FOLDER", "--trust"], ["a", "FOLDER"]])
def test_the_converter_asks_for_consent(old: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(old.rglob("*"))
    assert main([word.replace("FOLDER", str(old)) for word in words]) == 2
    assert "may run any program" in capsys.readouterr().err and sorted(old.rglob("*")) == before


def test_a_converted_one_is_the_same(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(old), "--trust-pickle"]) == 0
    assert capsys.readouterr().out == f"converted: {folders(old)[0]}\n"
    for name in ("last", "step-00000007"):
        read, record = read_checkpoint(old, name)
        assert record["step"] == 7 and record["mark"] == 5 and record["tensors"] == folders(old)[0]
        assert all(torch.equal(read[key], value) for key, value in tensors().items())
    assert not list(old.glob("*.dcp"))
    assert main([str(old), "--trust-pickle"]) == 0 and "nothing" in capsys.readouterr().out


def test_a_damaged_old_one_is_not_even_unpickled(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(old.glob("*.dcp/.metadata"))
    path.write_bytes(path.read_bytes() + b"?")
    assert main([str(old), "--trust-pickle"]) == 2
    assert ".metadata missing or changed" in capsys.readouterr().err
    assert main([str(old.parent), "--trust-pickle"]) == 2
    assert "no last.json" in capsys.readouterr().err


def test_nothing_else_of_the_package_reads_a_pickle(root: Path) -> None:
    """By name, so it is a reminder and no proof. `weights_only=True` admits tensors and nothing that runs."""
    words = re.compile(
        r"\bpickle\.|import pickle|torch\.load\((?!.*weights_only=True)|distributed\.checkpoint|allow_pickle=True"
    )
    guilty = [
        str(path.relative_to(root))
        for path in (root / "motionlab").rglob("*.py")
        for line in path.read_text().splitlines()
        if words.search(line) and not line.lstrip().startswith(("#", "`"))
    ]
    assert set(guilty) == {"motionlab/training/checkpoints/convert_sharded.py"}
