"""A memory map of a safetensors file gives what was written, and a damaged header is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from motionlab.errors import InputError
from motionlab.files.mapped import map_tensors
from motionlab.files.tensors import read_tensors, write_tensors

FIX = "Make it again."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


def test_the_numbers_and_the_description(path: Path) -> None:
    tensors = {
        "half": torch.randn(5, 3).half(), "long": torch.arange(4), "int": torch.arange(6).int().view(3, 2),
        "bytes": torch.arange(7).to(torch.uint8), "none": torch.empty(0, 3), "one": torch.tensor(2.5),
    }  # fmt: skip
    write_tensors(path, tensors, {"format": 3})
    arrays, description = map_tensors(path, FIX)
    assert description == {"format": 3} and arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert np.array_equal(arrays[name], tensor.numpy()) and arrays[name].dtype == tensor.numpy().dtype
        assert not arrays[name].flags.writeable


def test_a_file_of_another_writer(path: Path) -> None:
    save_file({"x": torch.arange(3.0)}, path)
    arrays, description = map_tensors(path, FIX)
    assert arrays["x"].tolist() == [0, 1, 2] and description == {}


def test_a_list_is_joined_while_it_is_written(path: Path) -> None:
    parts = [torch.randn(2, 3), torch.empty(0, 3), torch.randn(4, 3)]
    digest = write_tensors(path, {"x": parts}, {})
    assert torch.equal(read_tensors(path, digest)[0]["x"], torch.cat(parts))
    assert digest == write_tensors(path, {"x": torch.cat(parts)}, {}), "the same bytes"


def changed(path: Path, change: Any) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["x"].update(shape=[4]),
        lambda header: header["x"].update(shape=[-1, -3]),
        lambda header: header["x"].update(dtype="F99"),
        lambda header: header["x"].update(data_offsets=[12, 24]),
        lambda header: header["x"].update(data_offsets=[-12, 0]),
        lambda header: header["x"].update(data_offsets=[0]),
        lambda header: header.update(y=header["x"]),
        lambda header: header.update(y=None),
        lambda header: header["__metadata__"].update(motionlab="[]"),
        lambda header: header.update(__metadata__=3),
    ],
)
def test_a_wrong_header(path: Path, change: Any) -> None:
    write_tensors(path, {"x": torch.arange(3.0)}, {})
    changed(path, change)
    with pytest.raises(InputError, match="a.safetensors.*Make it again"):
        map_tensors(path, FIX)


@pytest.mark.parametrize("size", [0, 7, 8, 30, -1])
def test_a_part_of_a_file(path: Path, size: int) -> None:
    write_tensors(path, {"x": torch.arange(3.0)}, {})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="a.safetensors.*Make it again"):
        map_tensors(path, FIX)


def test_no_file(path: Path) -> None:
    with pytest.raises(InputError, match="found no file"):
        map_tensors(path, FIX)
    with pytest.raises(InputError, match="found a folder"):
        map_tensors(path.parent, FIX)
