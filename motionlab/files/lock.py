"""One process at a time in a folder: a file that names the one at work there, and that the system locks.

The lock is the operating system's own (`flock`; `msvcrt.locking` on Windows). It goes with its process, so a kill
leaves nothing locked, and a process number that was given again deceives nobody. The package filelock wraps the same
calls, but its file neither names the holder nor goes away at the end.

On a network disk `flock` may hold for all machines, for one only, or not at all. So a holder on another machine is
believed, whatever the lock says; and without locks, a process of this machine is looked for by its number and start.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from motionlab.errors import InputError
from motionlab.files.atomic import cannot_write
from motionlab.files.litter import process_start, sweep

IN_USE = "in_use.json"  # its name within a folder
ORPHANS = 30.0  # seconds in which the workers of a killed process finish their step, save and end
_PAUSE = 0.02  # seconds between two tries
_WITHOUT_LOCKS = 0.2  # seconds after which the file is read again where the file system has no locks
_held: dict[Path, int] = {}  # lock file -> thread, of this process
_guard = threading.Lock()


@dataclass(frozen=True)
class Holder:
    """The process at work: its number, its start in seconds since 1970, its machine, and since when in words."""

    process: int
    started: float
    host: str
    since: str

    @classmethod
    def this(cls) -> Holder:
        """The process that asks."""
        started = process_start(os.getpid()) or 0.0
        return cls(os.getpid(), started, platform.node(), time.strftime("%Y-%m-%d %H:%M:%S"))

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, on this machine."""
        return self.host == platform.node()

    @property
    def runs(self) -> bool:
        """Whether it still runs on this machine; another process with its number has another start."""
        started = process_start(self.process)
        return started is not None and abs(started - self.started) < 2.0  # seconds; the clock may have been set

    def __str__(self) -> str:
        return f"process {self.process}{'' if self.is_here else f' of {self.host}'}, at work since {self.since}"


@contextlib.contextmanager
def using(folder: str | Path, say: Callable[[str], None] = print) -> Iterator[None]:
    """Be the only process at work in a folder, which is made; a job may call another one in the same folder.

    Temporary files that killed processes left there are removed first. Workers of a killed process, which hold locks
    of folders within this one, get the time to save.

    Args:
        say: takes one line when the lock of a process is taken over that ended without removing it.

    Raises:
        InputError: another process, or another thread of this one, is at work there; or the folder cannot be written.
    """
    folder = Path(folder)
    path = folder / IN_USE
    if _held.get(path.absolute()) == threading.get_ident():
        yield
        return
    with locked(path, say=say):
        for inner in sorted(folder.glob(f"*/{IN_USE}")):
            with locked(inner, wait=ORPHANS):
                pass
        sweep(folder, strangers=0.0)
        yield


@contextlib.contextmanager
def locked(path: str | Path, wait: float = 0.0, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`; for anything that one process at a time may do. Its folder is made.

    Args:
        wait: seconds for another process to end its work; 0 for work that may take days.
        say: as in `using`.

    Raises:
        InputError: as in `using`.
    """
    path = Path(path).absolute()
    new = not path.parent.exists()
    handle = _take(path, wait, say)
    try:
        yield
    finally:
        _release(path, handle)
        if new:
            with contextlib.suppress(OSError):  # something was written
                path.parent.rmdir()


def at_work(folder: str | Path) -> Holder | None:
    """The process that is at work in a folder (see `using`); None when there is none. Nothing is written."""
    holder = _read(Path(folder) / IN_USE)
    return None if holder is None or (holder.is_here and not holder.runs) else holder


def _take(path: Path, wait: float, say: Callable[[str], None] | None) -> int:
    """An open handle of the locked file, which names this process from now on."""
    deadline = time.monotonic() + wait
    while True:
        with _guard:
            busy = path in _held
            handle = None if busy else _try(path, wait, say)
            if handle is not None:
                _held[path] = threading.get_ident()
                return handle
        if time.monotonic() >= deadline:
            raise _refusal(path)
        time.sleep(_PAUSE)


def _try(path: Path, wait: float, say: Callable[[str], None] | None) -> int | None:
    """The handle, or None when another process has the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    mine = False
    try:
        sure = _lock(handle)
        if sure is False or not _is(path, handle):  # held; or removed by its holder after it was opened here
            return None
        before = _read(path)
        if before is not None:
            age = time.time() - os.fstat(handle).st_mtime
            stranger = not before.is_here and (wait == 0 or age < wait)  # what others wait for takes no longer
            if stranger or (sure is None and before.is_here and before.runs):
                return None
            if say is not None:
                say(f"{path.parent}: taken over from {before}, which ended without a word (killed?)")
        text = json.dumps(asdict(Holder.this())).encode()
        os.ftruncate(handle, 0)
        os.pwrite(handle, text, 0) if hasattr(os, "pwrite") else os.write(handle, text)
        if sure is None:  # two may have come this far: the last one to write stays
            time.sleep(_WITHOUT_LOCKS)
            mine = _is(path, handle) and path.read_bytes() == text
        else:
            mine = True
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    finally:
        if not mine:
            os.close(handle)
    return handle if mine else None


def _release(path: Path, handle: int) -> None:
    with _guard:
        _held.pop(path, None)
        if os.name == "nt":  # an open file cannot be removed there
            os.close(handle)
        with contextlib.suppress(OSError):  # the folder may be gone, with all that was in it
            path.unlink()
        if os.name != "nt":  # removed before it is free: whoever opened it sees that, and opens the next one
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Whether the system gave the lock; None where it has none for this file."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 1 << 30, os.SEEK_SET)  # far behind the text, which others may then read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK) else None
    return True


def _is(path: Path, handle: int) -> bool:
    """Whether the path still leads to the file that was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _read(path: Path) -> Holder | None:
    """The process that a lock file names; None when it names none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(found["process"]), float(found["started"]), str(found["host"]), str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def _refusal(path: Path) -> InputError:
    holder = _read(path)
    if holder is None:  # it is about to write, or about to end
        time.sleep(10 * _PAUSE)
        holder = _read(path)
    if holder is not None and holder.process == os.getpid() and holder.is_here:
        who, fix = "another thread of this process at work", "Wait until it ends."
    elif holder is None or holder.is_here:
        stop = f", or stop it (kill {holder.process})" if holder is not None else ""
        who, fix = str(holder or "another process at work"), f"Wait until it ends{stop}; or choose another folder."
    else:
        who, fix = str(holder), f"Wait until it ends. If it no longer runs there, remove {path}."
    return InputError(path.parent, found=who, expected="one process at a time", fix=fix)
