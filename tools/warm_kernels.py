"""Kernels for the comparison of lessons that need not import torch again: each is a fork of a process that has.

Starting a kernel and importing torch and matplotlib takes three seconds of a core, which was nearly half of what the
comparison of all lessons took. `notebooks/conftest.py` calls `use_warm_kernels` for each worker of pytest; the worker
then starts one process that imports and does nothing else, and asks it to fork when nbval wants a kernel. A fork is a
process of its own, with its own memory, folder and group, and its first cell finds an empty namespace. State that a
fresh kernel would find otherwise is made new: the environment, the folder, numpy's random numbers (Python's are new
after every fork; torch's begin with the same seed in every process).

Only what is imported from other projects is shared: every lesson imports motionlab itself. `make notebooks`, which
saves the outputs, starts its kernels as a reader does.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHARED = ("numpy", "torch", "matplotlib.figure", "ipykernel.kernelapp", "ipykernel.ipkernel")
STARTER = "jupyter_client.provisioning.local_provisioner"  # its `launch_kernel` starts every kernel
# Variables that name the process which asks. All others have to be as the forking process found them: libraries read
# some of them when they are imported.
OF_THE_ASKING = {"JPY_PARENT_PID", "JPY_SESSION_NAME", "PYTEST_CURRENT_TEST"}


class WarmKernel:
    """A forked kernel, with the part of `subprocess.Popen` that jupyter_client uses."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, forks: Forks) -> None:
        self.pid, self.forks = pid, forks
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.forks.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a warm kernel", timeout or 0.0)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, seen from the one that asks. It ends when its standard input is closed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = settled(environment)
        self.process = subprocess.Popen(
            [sys.executable, "-Xfrozen_modules=off", __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, **request: Any) -> Any:
        """Raises: RuntimeError when the process is gone; its stderr, which is that of pytest, says why."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the answer, which will not come, says so
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that forks kernels ended with code {self.process.wait()}")
        return json.loads(answer)

    def start(self, arguments: list[str], folder: str, environment: dict[str, str]) -> WarmKernel:
        return WarmKernel(self.ask(arguments=arguments, folder=folder, environment=environment), self)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a question that nobody read is still in the buffer
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def settled(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in OF_THE_ASKING}


def use_warm_kernels() -> None:
    """From now on, jupyter_client starts Python kernels of this environment as forks; others as before.

    On Linux only: elsewhere libraries of the system do not survive a fork.
    """
    if sys.platform != "linux":
        return
    starter: Any = importlib.import_module(STARTER)
    plain = starter.launch_kernel
    forks: list[Forks] = []  # of one process, made for the first kernel

    def launch(cmd: list[str], **options: Any) -> Any:
        environment = {**(os.environ if options.get("env") is None else options["env"])}
        if cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:
            return plain(cmd, **options)
        if not forks:
            forks.append(Forks(environment))
            atexit.register(forks[0].close)
        if settled(environment) != forks[0].environment:
            return plain(cmd, **options)
        arguments = cmd[cmd.index("ipykernel_launcher") :]
        return forks[0].start(arguments, str(options.get("cwd") or Path.cwd()), environment)

    starter.launch_kernel = launch


# --- the process that forks ---


def serve() -> dict[str, Any] | None:
    """Fork when asked. Returns the request in each fork, and None in the first process when nobody asks any more."""
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            done, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if done else None
        else:
            answer = os.fork()
            if answer == 0:
                return dict(request)
            os.setpgid(answer, answer)  # before anybody can send a signal to its group
        print(json.dumps(answer), flush=True)
    return None


def become_kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Do the rest of `python -m ipykernel_launcher`, after its imports."""
    import numpy as np
    from ipykernel import kernelapp

    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.chdir(folder)
    process: Any = importlib.import_module("multiprocessing.process")
    process.ORIGINAL_DIR = folder  # where processes that a lesson spawns look for `lessons`
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))
    np.random.seed()
    sys.argv = arguments
    kernelapp.launch_new_instance()


if __name__ == "__main__":
    del sys.path[0]  # this folder, in which a lesson finds nothing
    # ipykernel sets it before a lesson can import matplotlib, which reads it when it is imported
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for module in SHARED:
        importlib.import_module(module)
    asked = serve()
    if asked is not None:
        become_kernel(**asked)
