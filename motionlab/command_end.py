"""How a command ends: its exit code, and the one line that says what went wrong.

Exit codes: 0 done, 1 doctor found something missing, 2 wrong input or surroundings, 130 Ctrl-C, 143 SIGTERM. A
traceback means a bug in motionlab.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import BrokenExecutor
from typing import Any, NoReturn

from typer.core import TyperGroup

from motionlab.errors import InputError, MissingExtra, first_line, is_out_of_memory, printable

# under torchrun
WHO = printable(f"motionlab (process {os.environ['RANK']})" if "RANK" in os.environ else "motionlab")
_LESS = "Free memory or raise the limit (ulimit -v), or need less: OMP_NUM_THREADS=1, fewer --workers, a smaller batch."


class Interruptible(TyperGroup):
    """Commands that report an interruption; typer would end them silently, with exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a stopped training says where it stopped, and by which signal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            where = f": {printable(stop)}; the same command continues" if str(stop) else ""
            print(f"{WHO}: interrupted{where}", file=sys.stderr)
            raise SystemExit(getattr(stop, "exit_code", 130)) from None


def explained(error: BaseException) -> Exception | None:
    """The error of one line that a command ends with; None for one that is a bug.

    >>> print(explained(MemoryError()))
    memory: found MemoryError, expected room for this command. Free memory or raise the limit (ulimit -v), or need less:
    OMP_NUM_THREADS=1, fewer --workers, a smaller batch.
    """
    if isinstance(error, (InputError, MissingExtra)):
        return error
    if is_out_of_memory(error):
        return InputError("memory", found=first_line(error), expected="room for this command", fix=_LESS)
    if isinstance(error, BrokenExecutor):
        found = "a process that was ended from outside, often for lack of memory"
        return InputError("processes", found=found, expected="processes that finish", fix=_LESS)
    if isinstance(error, OSError) and error.filename is not None:  # a folder or file of the user's machine
        fix = "Check that it is there, and who may read and write it."
        expected = "a file or folder that can be used"
        return InputError(os.fspath(error.filename), found=error.strerror or error, expected=expected, fix=fix)
    return None


def end_with(error: BaseException) -> NoReturn:
    """End with the line of an error; one that is a bug is raised again."""
    told = explained(error)
    if told is None:
        raise error
    print(f"{WHO}: error: " + printable(" ".join(str(told).split())), file=sys.stderr)
    end(2)


def end(code: str | int | None) -> NoReturn:
    """Exit; a process that torchrun started leaves without what can fail after its work."""
    if "RANK" in os.environ and (code is None or isinstance(code, int)):
        from motionlab.training.distributed import leave

        leave(code or 0)
    raise SystemExit(code)
