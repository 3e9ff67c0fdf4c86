import errno
import hashlib
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from motionlab.errors import InputError
from motionlab.files import sha256
from motionlab.files import tensors as files
from motionlab.files.tensors import content_digest, read_tensors, require_finite, write_tensors


def by_hand(path: Path) -> str:
    """The digest of a file as its documentation says: sha256 with zeros where the digest stands."""
    content = path.read_bytes()
    start = len(b"12345678") + len(b'{"__metadata__":{"sha256":"')
    return hashlib.sha256(content[:start] + b"0" * 64 + content[start + 64 :]).hexdigest()


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


def test_views_are_stored_as_they_look(tmp_path: Path) -> None:
    big = torch.arange(10.0)
    write_tensors(tmp_path / "view", {"view": big[2:4]}, {})
    assert read_tensors(tmp_path / "view")[0]["view"].tolist() == [2.0, 3.0]


def test_the_library_reads_what_is_written_here(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(3, 2).half(), "a": torch.randn(5, dtype=torch.float64), "c": torch.tensor([True])}
    digest = write_tensors(tmp_path / "a.safetensors", tensors, {})
    again = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(again[name], value) for name, value in tensors.items())
    assert digest == content_digest(tmp_path / "a.safetensors") == by_hand(tmp_path / "a.safetensors")


def test_large_tensors_go_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BLOCK", 7)
    x = torch.randn(40)
    digest = write_tensors(tmp_path / "a.safetensors", {"x": x, "none": torch.zeros(0)}, {})
    assert torch.equal(read_tensors(tmp_path / "a.safetensors")[0]["x"], x)
    assert digest == content_digest(tmp_path / "a.safetensors") == by_hand(tmp_path / "a.safetensors")


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
        with pytest.raises(InputError, match=f"{name}: found .*Copy or download"):
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


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    """Except in the key of the digest itself: then the file is read as one without, and its numbers are right."""
    path = tmp_path / "a.safetensors"
    x = torch.randn(50)
    write_tensors(path, {"x": x, "n": torch.arange(5)}, {"step": 3})
    content = path.read_bytes()
    generator, unnoticed = random.Random(0), 0
    for bit in generator.sample(range(8 * len(content)), 400):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(bytes(changed))
        try:
            tensors, description = read_tensors(path)
        except InputError:
            continue
        unnoticed += 1
        assert torch.equal(tensors["x"], x) and description == {"step": 3}, f"bit {bit}"
    assert unnoticed < 20


def test_a_digest_that_is_kept_elsewhere_is_compared_too(tmp_path: Path) -> None:
    digest = write_tensors(tmp_path / "a", {"x": torch.zeros(2)}, {})
    write_tensors(tmp_path / "a", {"x": torch.ones(2)}, {})
    assert read_tensors(tmp_path / "a")[0]["x"].tolist() == [1, 1]
    with pytest.raises(InputError, match=f"changed content, expected the content with digest {digest[:12]}"):
        read_tensors(tmp_path / "a", digest)
    save_file({"x": torch.ones(2)}, tmp_path / "b")
    assert read_tensors(tmp_path / "b", sha256(tmp_path / "b"))[0]["x"].tolist() == [1, 1]


def test_a_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hashed = tmp_path / "a", []
    write_tensors(path, {"x": torch.zeros(2)}, {})
    new = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *start: (hashed.append(path), new(*start))[1])
    for _ in range(3):
        read_tensors(path)
    assert len(hashed) == 1
    write_tensors(path, {"x": torch.zeros(3)}, {})
    read_tensors(path)
    assert len(hashed) == 3  # once when it was written, once when it was read


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder, expected a safetensors file"):
        read_tensors(tmp_path)
    with pytest.raises(InputError, match="File name too long"):
        read_tensors(tmp_path / ("x" * 300))
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    with pytest.raises(InputError, match="no regular file"):
        read_tensors(tmp_path / "pipe")


def test_require_finite_lets_whole_numbers_and_small_floats_pass() -> None:
    require_finite({"n": torch.arange(3), "h": torch.full((2,), 65504.0).half(), "none": torch.zeros(0)}, "x", "y")
    with pytest.raises(InputError, match="1 of 2 values of h"):
        require_finite({"h": torch.tensor([1.0, 1e6]).half()}, "x", "y")
