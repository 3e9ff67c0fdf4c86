"""How processes share work, how they are connected, and what reaches the process that started them."""

from __future__ import annotations

import contextlib
import functools
import operator
import subprocess
import sys
from multiprocessing import connection
from pathlib import Path

import pytest
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.training import distributed
from motionlab.training.distributed import World, choose_backend, connected, lost_peer, run_processes


@given(size=st.integers(1, 9), count=st.integers(1, 5), first=st.integers(0, 1000))
def test_the_processes_together_read_what_one_would(size: int, count: int, first: int) -> None:
    read = sorted(number for rank in range(size) for number in World(rank, size).numbers(first, count))
    assert read == list(range(first, first + size * count))


@given(size=st.integers(1, 9), items=st.lists(st.integers()))
def test_a_share_repeats_nothing_and_leaves_nothing_out(size: int, items: list[int]) -> None:
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_seeds_differ_between_processes_and_rank_0_keeps_its_own() -> None:
    seeds = [World(rank, 8).seed(5) for rank in range(8)]
    assert seeds[0] == 5 and len(set(seeds)) == 8


def test_a_world_of_one_needs_nobody() -> None:
    world = World.current()
    assert world == World() and not dist.is_initialized()
    assert world.sum([1.0]) == [1.0]
    assert world.gather("x") == ["x"] and world.from_first(3) == 3
    assert world.any(True) and not world.any(False)
    with world.first_alone():
        world.barrier()


def test_without_torchrun_nothing_is_joined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with connected("cpu") as world:
        assert world == World() and not dist.is_initialized()
        print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_torchruns_variables_are_enough(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with connected("cpu") as world:
        assert world == World(0, 1) and dist.get_backend() == "gloo"
    assert not dist.is_initialized()
    assert "processes: 1, connected by gloo (nccl needs GPUs" in capsys.readouterr().out


def test_the_connection_ends_with_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KeyError, match="mine"), connected("cpu"):
        raise KeyError("mine")
    assert not dist.is_initialized()
    message = "process 0 of 1: found the connection to another process closed"
    with pytest.raises(InputError, match=message), connected("cpu"):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:549] Connection closed by peer")


def test_nccl_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    assert choose_backend("cuda").value == "cpu:gloo,cuda:nccl"
    monkeypatch.setattr(dist, "is_nccl_available", lambda: False)
    assert choose_backend("cuda:1").value == "gloo" and "no nccl" in choose_backend("cuda").reason
    assert choose_backend("mps").value == "gloo"


def test_more_processes_than_gpus() -> None:
    with pytest.raises(InputError, match=r"process 3 on a machine with 2 GPU\(s\).*--nproc-per-node 2"):
        distributed._own_gpu(2, 2)
    assert distributed._own_gpu(2, 4) == 2


def test_processes_that_do_not_come_are_one_error_after_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTIONLAB_CONNECT_SECONDS", "1")
    monkeypatch.setattr(distributed, "NOTICE_SECONDS", 0.0)
    with pytest.raises(InputError, match=r"process 0 of 2: found no meeting .* within 1 s .*MOTIONLAB_CONNECT_SECONDS"):
        with connected("cpu", where=(tmp_path / "meet").as_uri(), rank=0, size=2):
            pass
    assert "process 0 of 2: waiting for the others at file://" in capsys.readouterr().err


def test_what_a_lost_peer_looks_like() -> None:
    assert lost_peer(RuntimeError("[../gloo/transport/tcp/pair.cc] Connection reset by peer"))
    assert lost_peer(dist.DistNetworkError("timeout"))
    assert not lost_peer(RuntimeError("shape mismatch")) and not lost_peer(None)


@pytest.mark.slow
def test_results_come_in_the_order_of_the_ranks() -> None:
    assert run_processes(World.current, 2) == [World(0, 2), World(1, 2)]


@pytest.mark.slow
def test_an_input_error_comes_as_it_is() -> None:
    with pytest.raises(InputError, match="found 'nonsense'"):
        run_processes(load_config, 2, "nonsense")


@pytest.mark.slow
def test_any_other_error_comes_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)process 0: Traceback.*ZeroDivisionError"):
        run_processes(functools.partial(operator.truediv, 1), 1, 0)


def test_the_first_cause_is_told_and_not_its_consequences() -> None:
    lost, cause = InputError("process 0", found="a closed connection", expected="", fix=""), KeyError("clip 7")

    class Pipe:
        def __init__(self, *message: object) -> None:
            self.message = message

        def recv(self) -> tuple[object, ...]:
            return self.message

    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(connection, "wait", lambda pipes: pipes[:1])
        with pytest.raises(KeyError, match="clip 7"):
            distributed._collect([Pipe("lost", lost), Pipe("error", cause)])
        with pytest.raises(InputError, match="a closed connection"):
            distributed._collect([Pipe("lost", lost), Pipe("result", 1)])


def test_a_process_leaves_with_its_code_and_its_output() -> None:
    """Nothing that the interpreter would do at its end is done: that is where torch aborts."""
    code = (
        "import atexit; from motionlab.training.distributed import leave;"
        "atexit.register(print, 'torn down'); print('work', end=''); leave(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "work")
