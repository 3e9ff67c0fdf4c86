"""One try: a sample, a seeded mutation, reading it within 6 seconds of CPU and some memory, and the verdict."""

from __future__ import annotations

import contextlib
import io
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from motionlab.errors import InputError, MissingExtra, is_out_of_memory, printable
from tests.fuzz.mutators import mutate
from tests.fuzz.registry import Format

CPU_SECONDS = 6.0  # of the process; a wall clock would count what other processes do
MEMORY = 1 << 30  # bytes that reading a sample of some kilobytes may add
BAD = ("traceback", "wrong", "slow", "memory")


@dataclass(frozen=True)
class Outcome:
    """The verdict of one try: refused, fine, or one of `BAD`, and what happened."""

    verdict: str
    seconds: float
    text: str = ""


class TooSlow(BaseException):
    """No Exception, so that no reader catches it."""


def sample(entry: Format, folder: Path) -> dict[Path, bytes]:
    """The files of a valid sample that may be mutated, made once in `folder / "valid"`."""
    valid = folder / "valid"
    valid.mkdir()
    return {path.relative_to(valid): path.read_bytes() for path in entry.make(valid)}


def attempt(entry: Format, files: dict[Path, bytes], folder: Path, seed: int) -> Outcome:
    """Mutate one file of the sample by the seed, read, judge. The sample is left as it was."""
    rng = random.Random(f"{entry.name} {seed}")
    name = rng.choice(sorted(files))
    mutated = folder / "valid" / name
    mutated.write_bytes(mutate(files[name], entry.kinds, rng))
    began = time.process_time()
    try:
        verdict, text = _judged(entry, folder / "valid")
    finally:
        mutated.write_bytes(files[name])
    seconds = time.process_time() - began
    return Outcome("slow" if seconds > CPU_SECONDS else verdict, seconds, text)


def keep(entry: Format, files: dict[Path, bytes], seed: int, where: Path) -> Path:
    """Write the mutated file of a try, for a look at it."""
    rng = random.Random(f"{entry.name} {seed}")
    name = rng.choice(sorted(files))
    path = where / f"{entry.name}-{seed}{name.suffix}"
    path.write_bytes(mutate(files[name], entry.kinds, rng))
    return path


def _judged(entry: Format, folder: Path) -> tuple[str, str]:
    try:
        with _bounded(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            value = entry.read(folder)
    except (InputError, MissingExtra) as error:
        message = str(error)
        if message != printable(message):
            return "traceback", f"a message that no terminal takes: {printable(message)}"
        return "refused", message
    except TooSlow:
        return "slow", traceback.format_exc()
    except Exception as error:
        return ("memory" if is_out_of_memory(error) else "traceback"), traceback.format_exc()
    try:
        entry.check(value)
    except Exception:
        return "wrong", traceback.format_exc()
    return "fine", ""


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """CPU time by a timer that counts only this process, memory by a limit on its addresses."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = Path("/proc/self/statm")
    if pages.exists():
        now = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, hard))
    previous = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def copy_bundled(source: Path, target: Path, names: list[str]) -> list[Path]:
    """Copies of bundled files, for a sample."""
    return [Path(shutil.copy(source / name, target / name)) for name in names]
