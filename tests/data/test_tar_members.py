"""Archives are read as a stream, and no claim of theirs is believed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from motionlab.data import tar_members
from motionlab.data.tar_members import is_archive, read_members


def archive(path: Path, *members: tuple[str, bytes, bytes], mode: str = "w:gz") -> Path:
    """Members as (name, type, content)."""
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = "a.npy"
            file.addfile(info, io.BytesIO(content))
    return path


def read(path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    faults: dict[str, str] = {}
    return dict(read_members(path, (".npy",), faults.__setitem__)), faults


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")]
)
def test_files_of_the_wanted_kind(tmp_path: Path, name: str, mode: str) -> None:
    regular = tarfile.REGTYPE
    members = [("x/a.npy", regular, b"1"), ("x/a.txt", regular, b"2"), ("x/._a.npy", regular, b"3")]
    path = archive(tmp_path / name, *members, mode=mode)
    assert is_archive(path) and read(path) == ({"x/a.npy": b"1"}, {})


def test_links_and_names_that_leave_are_faults(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.tar.gz",
        ("good.npy", tarfile.REGTYPE, b"1"),
        ("../up.npy", tarfile.REGTYPE, b"2"),
        ("/abs.npy", tarfile.REGTYPE, b"3"),
        ("sym.npy", tarfile.SYMTYPE, b""),
        ("hard.npy", tarfile.LNKTYPE, b""),
        ("pipe.npy", tarfile.FIFOTYPE, b""),
    )
    found, faults = read(path)
    assert found == {"good.npy": b"1"}
    assert set(faults) == {"../up.npy", "/abs.npy", "sym.npy", "hard.npy", "pipe.npy"}


def test_a_size_above_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_members, "LARGEST_MEMBER", 10)
    path = archive(
        tmp_path / "a.tar", ("big.npy", tarfile.REGTYPE, b"x" * 11), ("ok.npy", tarfile.REGTYPE, b"y"), mode="w"
    )
    assert read(path) == ({"ok.npy": b"y"}, {"big.npy": "a member of an archive that is too large"})


def test_a_long_header_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.tar", (f"{'x' * 300}.npy", tarfile.REGTYPE, b"1"), mode="w")
    assert len(read(path)[0]) == 1
    monkeypatch.setattr(tar_members, "LARGEST_HEADER", 100)
    found, faults = read(path)
    assert not found and "a header of" in faults["a.tar"]


@pytest.mark.parametrize("keep", [0, 5, 700, -30])
def test_an_archive_that_ends_early_says_so(tmp_path: Path, keep: int) -> None:
    members = [(f"{i}.npy", tarfile.REGTYPE, bytes(range(256)) * 20) for i in range(9)]
    path = archive(tmp_path / "a.tar.gz", *members)
    path.write_bytes(path.read_bytes()[:keep])
    found, faults = read(path)
    assert "ends early" in faults["a.tar.gz"]
    assert all(content == members[0][2] for content in found.values())
