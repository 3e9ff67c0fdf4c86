"""`.pth` files: read as data, refused when a byte differs, never believed about their sizes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.pth import Inert, read_pth, require_members, state_of


def test_tensors_and_containers(tmp_path: Path) -> None:
    torch.save({"net": {"a": torch.ones(2)}, "nb_iter": 3}, tmp_path / "net.pth")
    content = read_pth(tmp_path / "net.pth")
    assert isinstance(content, dict) and content["nb_iter"] == 3
    assert torch.equal(state_of(content, "net", "net.pth", fix="")["a"], torch.ones(2))


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"a": torch.arange(64.0)}, path)
    whole = bytearray(path.read_bytes())
    whole[whole.index(torch.arange(64.0).numpy().tobytes()) + 9] ^= 1
    path.write_bytes(whole)
    for skip_classes in (False, True):
        with pytest.raises(InputError, match="wrong checksum"):
            read_pth(path, skip_classes=skip_classes)


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    """torch never compresses; a small file could unpack to any size."""
    torch.save({"a": torch.zeros(1000)}, tmp_path / "net.pth")
    with zipfile.ZipFile(tmp_path / "net.pth") as old, zipfile.ZipFile(tmp_path / "small.pth", "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed members"):
        read_pth(tmp_path / "small.pth")


def test_the_old_format_is_refused(tmp_path: Path) -> None:
    """It has no checksums, and memory is taken before the file is read."""
    torch.save({"a": torch.zeros(3)}, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="no zip archive.*torch's zip format"):
        read_pth(tmp_path / "net.pth")


def test_tensors_are_whole_members(tmp_path: Path) -> None:
    """The sizes that tensors have are compared with those of the archive's members."""
    path = tmp_path / "net.pth"
    state = {f"{i}": torch.arange(float(i)) for i in range(9)}
    torch.save({"net": state | {"view": state["8"][2:5]}, "more": [(torch.ones(3),)]}, path)
    content = read_pth(path)
    assert isinstance(content, dict)
    tensors = list(content["net"].values())
    require_members(tensors, path)
    for wrong in ([torch.ones(100)], [*tensors, torch.ones(3)], [*tensors, torch.ones(100)]):
        with pytest.raises(ValueError, match="larger or smaller than their numbers"):
            require_members(wrong, path)


class Scaler:
    """A class of another package."""


def test_foreign_classes(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "scaler": Scaler()}, tmp_path / "net.pth")
    with pytest.raises(InputError, match="net.pth: found content that cannot be read"):
        read_pth(tmp_path / "net.pth")
    content = read_pth(tmp_path / "net.pth", skip_classes=True)
    assert isinstance(content, dict) and isinstance(content["scaler"], Inert)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1], "a list without a state dict"),
        ({}, "a dict without a state dict"),
        ({"net": {}}, "keys net without"),
        ({"net": 3}, "keys net without"),
        ({"model": {"a": torch.ones(1)}}, "keys model without"),
        ({"net": {"a": {"b": torch.ones(1)}}}, "net.pth: a: found dict"),
        ({"net": {"a": None}}, "net.pth: a: found NoneType"),
        ({"net": {1: torch.ones(1)}}, "the key 1"),
        ({"a": torch.ones(1), "b": 2.0}, "net.pth: b: found float"),
    ],
)
def test_what_is_no_state_dict(content: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        state_of(content, "net", "net.pth", fix="Give another.")
