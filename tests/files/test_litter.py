"""Temporary files of processes that were killed are removed; those of living processes, and files of others, stay."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from motionlab.data.building import building
from motionlab.files import atomic_path, litter
from motionlab.files.litter import process_start, sweep, temporary_folder, temporary_prefix

KILLED = """
import os, sys
from pathlib import Path
from motionlab.data.building import building
from motionlab.files import atomic_path
from motionlab.files.litter import temporary_folder
folder = Path(sys.argv[1])
with atomic_path(folder / "stage" / "config.yaml") as path, building(folder / "corpus-1") as made:
    path.write_text("half")
    (made / "clips").mkdir()
    (made / "clips" / "a.npy").write_bytes(b"half")
    os.environ["TMPDIR"] = str(folder)
    with temporary_folder("training"):
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder in which a process was killed while it wrote a file and filled two folders."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len([path for path in tmp_path.rglob(".*")]) == 3
    return tmp_path


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_what_a_killed_process_left(killed: Path) -> None:
    for name in (".config.yaml", ".config.settings.yaml", "config.~1.yaml", "~"):  # files of a person
        (killed / name).write_text("mine")
    with atomic_path(killed / "a.json"), building(killed / "b"), temporary_folder("c"):
        assert len(sweep(killed)) == 3
        assert len(list(killed.glob(".*~*"))) == 2, "a living process still needs them"
    kept = {path.name for path in killed.rglob("*")}
    assert kept == {".config.yaml", ".config.settings.yaml", "config.~1.yaml", "~", "stage", "a.json", "b"}


def test_a_number_that_was_given_again(tmp_path: Path) -> None:
    """This process has the number of the one in the name, but began after the file was last changed."""
    path = tmp_path / f"{temporary_prefix('config')}abcdefgh.yaml"
    path.write_text("half")
    assert sweep(tmp_path) == []
    long_ago = (process_start(os.getpid()) or 0.0) - 10
    os.utime(path, (long_ago, long_ago))
    assert sweep(tmp_path) == [path]


def test_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can ask there; only a lock, or a week without a change, says that nobody needs it."""
    monkeypatch.setattr(litter, "_machine", lambda: "0000000f")
    folder = tmp_path / f"{temporary_prefix('corpus')}abcdefgh"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "fresh").write_text("half")
    monkeypatch.undo()
    weeks = time.time() - 3e6
    os.utime(folder, (weeks, weeks))
    assert sweep(tmp_path) == [], "something in it was changed a moment ago"
    os.utime(folder / "inner" / "fresh", (weeks, weeks))
    os.utime(folder / "inner", (weeks, weeks))
    os.utime(folder, (weeks, weeks))
    assert sweep(tmp_path) == [folder]
    folder.mkdir()
    assert sweep(tmp_path, strangers=0.0) == [folder]


def test_depth_and_links(tmp_path: Path) -> None:
    name = f"{temporary_prefix('x').replace(str(os.getpid()), '999999999')}abcdefgh"  # no process has this number
    for folder in ("", "a", "a/b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    assert sorted(sweep(tmp_path, depth=2)) == [tmp_path / name, tmp_path / "a" / name]
    assert sweep(tmp_path / "not there") == []
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / name).touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "linked")
    assert sweep(tmp_path / "b") == []


def test_a_long_name_has_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250 + ".txt")
    with atomic_path(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"
