"""A forked kernel is as good as a fresh one: a process of its own, with its own settings, that ends when asked."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.launcher import launch_kernel
from jupyter_client.manager import KernelManager

from tools.warm_kernels import SHARED, STARTER, Forks, WarmKernel, use_warm_kernels

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere kernels are started as ever")
Start = Callable[..., tuple[Any, Any]]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """`start(folder)` gives the manager and the client of a kernel; all are shut down in the end."""
    opened: list[tuple[Any, Any]] = []
    starter = importlib.import_module(STARTER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starter, "launch_kernel", launch_kernel)  # that of jupyter_client; put back in the end
        use_warm_kernels()

        def kernel(folder: Path, **more: str) -> tuple[Any, Any]:
            manager: Any = KernelManager()
            manager.kernel_spec.argv = get_kernel_dict()["argv"]
            manager.start_kernel(cwd=str(folder), env={**os.environ, **more})
            client = manager.client()
            client.start_channels()
            client.wait_for_ready(timeout=120)
            opened.append((manager, client))
            return manager, client

        yield kernel
        for manager, client in opened:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def value(client: Any, expression: str) -> str:
    """What a kernel says an expression is."""
    reply = client.execute("import os, sys", user_expressions={"x": expression}, reply=True, timeout=120)
    return str(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])


def test_two_kernels_share_imports_and_nothing_else(start: Start, tmp_path: Path) -> None:
    (one, first), (two, second) = (start(tmp_path) for _ in range(2))
    assert all(isinstance(manager.provisioner.process, WarmKernel) for manager in (one, two))
    pids = [int(value(client, "os.getpid()")) for client in (first, second)]
    assert pids == [manager.provisioner.process.pid for manager in (one, two)] and len({os.getpid(), *pids}) == 3
    parents = {value(client, "os.getppid()") for client in (first, second)}
    assert len(parents) == 1 and parents != {str(os.getpid())}
    assert {value(client, "os.getcwd()") for client in (first, second)} == {repr(str(tmp_path))}
    for client in (first, second):
        assert value(client, f"[name for name in {SHARED!r} if name not in sys.modules]") == "[]"
        ours = "[name for name in sys.modules if name.startswith(('motionlab', 'lessons', 'tools'))]"
        assert value(client, ours) == "[]"
        assert value(client, "[name for name in ('torch', 'asked', 'serve') if name in globals()]") == "[]"
        begun = (
            "__import__('multiprocessing.process').process.ORIGINAL_DIR"  # '' of sys.path, in a process that it spawns
        )
        assert value(client, begun) == repr(str(tmp_path))
    draw = "__import__('numpy').random.rand()"
    assert value(first, draw) != value(second, draw)
    first.execute("here = 1", reply=True, timeout=60)
    assert value(second, "'here' in globals()") == "False"
    assert value(first, "__import__('matplotlib').rcParams['backend']").endswith("matplotlib_inline.backend_inline'")


def test_a_kernel_is_interrupted_and_ends(start: Start, tmp_path: Path) -> None:
    manager, client = start(tmp_path)
    sent = client.execute("import time; time.sleep(100)")
    time.sleep(0.5)
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != sent:
        reply = client.get_shell_msg(timeout=60)
    assert reply["content"]["ename"] == "KeyboardInterrupt" and manager.is_alive()
    process = manager.provisioner.process
    manager.shutdown_kernel(now=True)
    assert process.poll() == -signal.SIGKILL and not manager.is_alive()


def test_other_settings_get_a_fresh_kernel(start: Start, tmp_path: Path) -> None:
    """Libraries have read their variables when they were imported: a fork would not see another value."""
    start(tmp_path)
    manager, client = start(tmp_path, OMP_NUM_THREADS="3")
    assert isinstance(manager.provisioner.process, subprocess.Popen)
    assert value(client, "os.environ['OMP_NUM_THREADS']") == "'3'"


def test_forks_end_with_the_process_that_asks(tmp_path: Path) -> None:
    forks = Forks({**os.environ})
    kernel = forks.start(["ipykernel_launcher", "-f", str(tmp_path / "kernel.json")], str(tmp_path), {**os.environ})
    assert kernel.poll() is None and os.getpgid(kernel.pid) == kernel.pid
    with pytest.raises(subprocess.TimeoutExpired):
        kernel.wait(0.01)
    kernel.kill()
    assert kernel.wait(60) == kernel.poll() == -signal.SIGKILL
    forks.close()
    assert forks.process.returncode == 0


def test_forks_that_have_died_are_one_error() -> None:
    forks = Forks({**os.environ})
    forks.process.kill()
    forks.process.wait()
    with pytest.raises(RuntimeError, match="ended with code -9"):
        forks.ask(poll=1)
    forks.close()
