import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.training.checkpoints import tensor_files as weights
from motionlab.training.checkpoints.tensor_files import (
    first_differences,
    load_into,
    load_model_state,
    read_tensors,
    save_model,
    write_tensors,
)


def test_round_trip_keeps_bits_dtypes_and_description(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3).half(),
        "brain": torch.randn(2, 2).bfloat16(),
        "count": torch.tensor(2**40),
        "empty": torch.zeros(0, 4),
        "flag": torch.tensor(True),
        "turned": torch.randn(3, 5).T,
    }
    write_tensors(tmp_path / "a.safetensors", tensors, {"levels": [8, 5], "name": "é"})
    again, description = read_tensors(tmp_path / "a.safetensors")
    assert description == {"levels": [8, 5], "name": "é"}
    for key, value in tensors.items():
        assert again[key].dtype == value.dtype and torch.equal(again[key], value)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    for name in ("a", "b"):
        save_model(tmp_path / name, model, {"b": 1, "a": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tied_weights_and_views_are_stored(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    save_model(tmp_path / "tied", model, {})
    state, _ = load_model_state(tmp_path / "tied")
    assert torch.equal(state["0.weight"], state["1.weight"])
    big = torch.arange(10.0)
    write_tensors(tmp_path / "view", {"view": big[2:4]}, {})
    assert read_tensors(tmp_path / "view")[0]["view"].tolist() == [2.0, 3.0]


def test_the_library_reads_what_is_written_here(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(3, 2).half(), "a": torch.randn(5, dtype=torch.float64), "c": torch.tensor([True])}
    digest = write_tensors(tmp_path / "a.safetensors", tensors, {})
    again = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    assert digest == sha256(tmp_path / "a.safetensors")


def test_large_tensors_go_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", 7)
    x = torch.randn(40)
    digest = write_tensors(tmp_path / "a.safetensors", {"x": x, "none": torch.zeros(0)}, {})
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")[0]["x"], x)
    assert digest == sha256(tmp_path / "a.safetensors")


def test_reads_files_of_other_writers(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "other.safetensors")
    assert read_tensors(tmp_path / "other.safetensors")[1] == {}


def test_missing_torn_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_tensors(tmp_path / "none")
    write_tensors(tmp_path / "whole", {"x": torch.ones(100)}, {})
    (tmp_path / "torn").write_bytes((tmp_path / "whole").read_bytes()[:-10])
    torch.save({"x": torch.ones(2)}, tmp_path / "pickle")
    for name in ("torn", "pickle"):
        with pytest.raises(InputError, match=f"{name}.*whole safetensors"):
            read_tensors(tmp_path / name)


def test_full_disk_is_one_clear_line_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"x": torch.ones(2)}, {})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device while writing"):
        write_tensors(path, {"x": torch.zeros(2)}, {})
    assert read_tensors(path)[0]["x"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_load_into_names_the_first_differences_and_changes_nothing() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    with pytest.raises(InputError, match=r"run/a: found weight \[2, 4\] instead of \[2, 3\], unknown extra \[1\]"):
        load_into(model, {"bias": torch.ones(2), "weight": torch.zeros(2, 4), "extra": torch.ones(1)}, "run/a")
    with pytest.raises(InputError, match="no bias"):
        load_into(model, {"weight": torch.zeros(2, 3)}, "run/a")
    assert torch.equal(model.weight, before)


def test_a_compiled_model_and_a_plain_one_have_the_same_weights(tmp_path: Path) -> None:
    plain = nn.Linear(3, 2)
    compiled: Any = torch.compile(nn.DataParallel(nn.Linear(3, 2)))
    save_model(tmp_path / "model.safetensors", compiled, {})
    state, _ = load_model_state(tmp_path / "model.safetensors")
    load_into(plain, state, "here")
    assert torch.equal(plain.weight, compiled.state_dict()["_orig_mod.module.weight"])
    load_into(compiled, nn.Linear(3, 2).state_dict(), "here")
    assert not torch.equal(plain.weight, compiled.state_dict()["_orig_mod.module.weight"])


def test_integers_and_nan_are_no_weights() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    for weight, words in (
        (torch.ones(2, 3, dtype=torch.int8), "weight of int8"),
        (torch.full((2, 3), torch.nan), "NaN"),
    ):
        with pytest.raises(InputError, match=f"run/a.*{words}"):
            load_into(model, {"bias": torch.ones(2), "weight": weight}, "run/a")
    assert torch.equal(model.weight, before)


def test_long_lists_of_differences_are_cut() -> None:
    text = first_differences({}, {str(i): i for i in range(10)})
    assert text == "no 0, no 1, no 2 and 7 more"
    assert first_differences({"a": 1}, {"a": 1}) == ""
