import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.files import atomic_path, sha256, write_text


def test_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "note.txt"
    write_text(path, "one")
    write_text(path, "zwei ü 步")
    assert path.read_text(encoding="utf-8") == "zwei ü 步"
    assert os.listdir(path.parent) == ["note.txt"]


def test_suffix_is_kept_for_writers_that_choose_by_it(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.npy") as temporary:
        assert temporary.suffix == ".npy" and temporary.parent == tmp_path
        temporary.write_bytes(b"x")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(InputError, match="note.txt: found No space left on device while writing") as caught:
        write_text(path, "new")
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["note.txt"]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file.*a folder that can be written"):
        write_text(tmp_path / "file" / "note.txt", "x")


def test_target_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "note.txt").mkdir()
    with pytest.raises(InputError, match="note.txt"):
        write_text(tmp_path / "note.txt", "x")
    assert os.listdir(tmp_path) == ["note.txt"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "note.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256(tmp_path: Path, size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
