"""One process at a time: refused by name, free after every kind of end, taken over after a kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from motionlab.errors import InputError
from motionlab.files import lock
from motionlab.files.lock import IN_USE, Holder, locked, using

HOLD = """
import sys, time
from motionlab.files.lock import using
with using(sys.argv[1]):
    print("held", flush=True)
    time.sleep(120)
"""


@contextlib.contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of `folder`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(params=["locks", "no locks"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with locks, and one without."""
    if request.param == "no locks":
        monkeypatch.setattr(lock, "_lock", lambda handle: None)
    return str(request.param)


def write_holder(folder: Path, **changes: object) -> Path:
    """The lock file of a process that left it behind."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IN_USE).write_text(json.dumps({**Holder.this().__dict__, **changes}))
    return folder / IN_USE


def test_refused_while_another_process_is_there(tmp_path: Path, system: str) -> None:
    with another_process(tmp_path / "run") as process:
        with pytest.raises(InputError, match=rf"run: found process {process.pid}, at work since .*kill {process.pid}"):
            using(tmp_path / "run").__enter__()
        using(tmp_path / "other").__enter__()
    assert (tmp_path / "run" / IN_USE).exists(), "it was killed"


def test_taken_over_after_a_kill(tmp_path: Path, system: str, capsys: pytest.CaptureFixture[str]) -> None:
    with another_process(tmp_path) as process:
        pass
    with using(tmp_path):
        assert json.loads((tmp_path / IN_USE).read_text())["process"] == os.getpid()
    printed = capsys.readouterr().out
    assert re.fullmatch(rf".*: taken over from process {process.pid}, at work since .* \(killed\?\)\n", printed)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_free_after_every_end(tmp_path: Path, system: str, error: type[BaseException] | None) -> None:
    with contextlib.suppress(RuntimeError, KeyboardInterrupt), using(tmp_path / "run"):
        assert (tmp_path / "run" / IN_USE).is_file()
        if error is not None:
            raise error
    assert os.listdir(tmp_path) == [], "the folder was made for the lock only"
    with using(tmp_path / "run"):
        (tmp_path / "run" / "note").touch()
    assert os.listdir(tmp_path / "run") == ["note"]


def test_a_job_may_call_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with using(tmp_path / "run"):
        with using("run"), using(tmp_path / "run" / "llama"):
            pass
        assert (tmp_path / "run" / IN_USE).is_file(), "the inner one has given it back"


def test_another_thread_may_not(tmp_path: Path) -> None:
    found = []

    def other() -> None:
        try:
            using(tmp_path).__enter__()
        except InputError as error:
            found.append(str(error))

    with using(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(found) == 1 and "another thread of this process" in found[0]


def test_the_number_of_the_process_was_given_again(
    tmp_path: Path, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_holder(tmp_path, started=Holder.this().started - 1000)
    with using(tmp_path):
        pass
    assert "taken over" in capsys.readouterr().out


def test_without_locks_a_process_that_runs_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_lock", lambda handle: None)
    write_holder(tmp_path)
    with pytest.raises(InputError, match="one process at a time"):
        using(tmp_path).__enter__()


def test_another_machine_is_believed(tmp_path: Path, system: str) -> None:
    path = write_holder(tmp_path, host="elsewhere", process=7)
    with pytest.raises(InputError) as caught:
        using(tmp_path).__enter__()
    assert "found process 7 of elsewhere, at work since" in str(caught.value)
    assert str(caught.value).endswith(f"If it no longer runs there, remove {path}.")
    path.unlink()
    with using(tmp_path):
        pass


def test_short_work_of_another_machine_ends(tmp_path: Path) -> None:
    path = write_holder(tmp_path, host="elsewhere")
    os.utime(path, (time.time() + 100, time.time() + 100))
    with pytest.raises(InputError, match="elsewhere"):
        locked(path, wait=0.1).__enter__()
    os.utime(path, (time.time() - 100, time.time() - 100))
    with locked(path, wait=1.0):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": "x"}', '{"process": 1}', "null"])
def test_a_file_that_names_nobody(tmp_path: Path, system: str, text: str) -> None:
    (tmp_path / IN_USE).write_text(text)
    with using(tmp_path):
        assert json.loads((tmp_path / IN_USE).read_text())["process"] == os.getpid()


def test_waits_for_the_workers_of_a_killed_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that saves holds the folder of its stage."""
    with another_process(tmp_path / "run" / "llama") as worker:
        threading.Timer(0.3, worker.kill).start()
        with using(tmp_path / "run"):
            assert worker.wait() != 0
            assert not (tmp_path / "run" / "llama" / IN_USE).exists()
    with another_process(tmp_path / "run" / "llama") as worker:
        monkeypatch.setattr(lock, "ORPHANS", 0.1)
        with pytest.raises(InputError, match=f"llama: found process {worker.pid}"):
            using(tmp_path / "run").__enter__()
    assert not (tmp_path / "run" / IN_USE).exists()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that can be written"):
        using(tmp_path / "file").__enter__()


COUNT = """
import sys
from pathlib import Path
from motionlab.files.lock import locked
path = Path(sys.argv[1])
for _ in range(20):
    with locked(path.with_suffix(".lock"), wait=60):
        path.write_text(str(int(path.read_text()) + 1))
"""


def test_many_processes_one_after_the_other(tmp_path: Path) -> None:
    """Each makes and removes the lock file; one that was opened and then removed must not count."""
    path = tmp_path / "number"
    path.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    assert path.read_text() == "120"
