"""Several processes, one training: the rank of this process, their number, and sums over them.

`torchrun` starts R processes of the same program and tells each its rank in environment variables. `connected` reads
them and joins the processes; everything below it calls `World.current()`, which is a world of one when none joined.
So the same code runs alone, under torchrun, and in the two processes that a lesson starts by `run_processes`.

Every batch is a pure function of its number, so the data needs no sampler: of the micro-batches `first`, `first + 1`,
... process r of R takes each R-th one. The R processes together read what one process would have read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from motionlab.environment import Launch, connect_seconds, launch
from motionlab.errors import InputError, first_line, is_out_of_memory, printable
from motionlab.files.litter import temporary_folder
from motionlab.interrupt import end_with_parent
from motionlab.runtime import Choice, choose_device

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # rank 0 may build a corpus or write a large checkpoint while the others wait
NOTICE_SECONDS = 5.0  # a wait for the others that is longer is said


@dataclass(frozen=True)
class World:
    """The processes of this training as one of them sees them; a world of one needs no torch.distributed.

    >>> world = World.current()
    >>> world.rank, world.size, world.is_first, world.share([10, 11, 12]), world.sum([1.5, 2.0])
    (0, 1, True, [10, 11, 12], [1.5, 2.0])
    >>> [World(rank, size=2).numbers(8, count=3) for rank in (0, 1)]
    [[8, 10, 12], [9, 11, 13]]
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """The world that this process has joined, or the world of one."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        """Rank 0: the only process that writes files and prints."""
        return self.rank == 0

    def numbers(self, first: int, count: int) -> list[int]:
        """Numbers of this process's `count` micro-batches in the group of `count * size` that begins at `first`."""
        return [first + i * self.size + self.rank for i in range(count)]

    def share(self, items: Sequence[T]) -> list[T]:
        """This process's part of `items`: no item is in two parts and none is left out. The last part may be shorter.

        (DistributedSampler repeats items until all parts are equal, so validation would count some twice.)
        """
        return list(items[self.rank :: self.size])

    def seed(self, seed: int) -> int:
        """A seed of this process's own, so that dropout differs between processes; rank 0 keeps `seed` itself."""
        return seed + 1_000_003 * self.rank

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes, in float64 on the CPU: no GPU has to be waited for."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def sum_tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add `tensor` over the processes, in place, on the device where it is."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether any process says yes. All get the same answer, so all act on it at the same step."""
        return self.sum([float(flag)])[0] > 0

    def gather(self, value: T) -> list[T]:
        """The value of every process, in the order of their ranks. Small values only: they travel pickled."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_first(self, value: T) -> T:
        """The value that rank 0 holds."""
        return self.gather(value)[0]

    def barrier(self) -> None:
        """Wait until every process is here. An all-reduce on the CPU, so that it needs no GPU to be named."""
        self.sum([0.0])

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """Rank 0 runs the block while the others wait; then they run it. For what is made once and then found."""
        if not self.is_first:
            self.barrier()
        yield
        if self.is_first:
            self.barrier()


def choose_backend(device: str) -> Choice:
    """How processes on this kind of device talk to each other.

    >>> print(choose_backend("cpu"))
    gloo (nccl needs GPUs, and this run is on cpu)
    """
    if not device.startswith("cuda"):
        return Choice("gloo", f"nccl needs GPUs, and this run is on {device}")
    if dist.is_nccl_available():
        return Choice("cpu:gloo,cuda:nccl", "nccl moves gradients between GPUs; gloo adds the few numbers on the CPU")
    return Choice("gloo", "this build of torch has no nccl; gloo copies every gradient through the CPU")


@contextlib.contextmanager
def connected(device: str = "auto", *, where: str | None = None, rank: int = 0, size: int = 1) -> Iterator[World]:
    """Join the processes that torchrun started, and part at the end. Without torchrun: a world of one.

    Inside the block, only rank 0 prints: the standard output of the others goes nowhere. Their errors go to stderr.

    Args:
        device: the setting `device`; on GPUs, each process takes the one of its LOCAL_RANK.
        where: an address such as `file:///folder/meet`, for processes that no torchrun started; with `rank` and `size`.

    Raises:
        InputError: more processes than GPUs on this machine, a wrong variable of torchrun, others that do not come in
            time, or another process that ended while this one waited for it.
    """
    started = launch() if where is None else Launch(rank, size, int(os.environ.get("LOCAL_RANK", rank)), where)
    if World.current().size > 1 or started is None:
        yield World.current()  # a caller joined and will part; or there are no others
        return
    rank, size = started.rank, started.size
    kind = choose_device(device).value
    if kind.startswith("cuda"):
        torch.cuda.set_device(_own_gpu(started.local_rank, torch.cuda.device_count()))
    backend = choose_backend(kind)
    _meet(started, backend.value, where or "env://")
    try:
        with _quiet(rank > 0):
            if where is None:
                print(f"processes: {size}, connected by {backend}", flush=True)
            yield World(rank, size)
    except BaseException as error:
        if not kind.startswith("cuda"):  # nccl would wait here for the work that is under way; the end of the process
            dist.destroy_process_group()  # frees it as well
        if not lost_peer(error):
            raise
        raise InputError(
            f"process {rank} of {size}",
            found="the connection to another process closed",
            expected="all processes at work",
            fix="Read the error of the process that ended first.",
        ) from error
    dist.destroy_process_group()


def _meet(started: Launch, backend: str, method: str) -> None:
    """Join the others. A wait that is long enough to be noticed is said; one that is too long ends."""
    seconds = connect_seconds()
    here = f"process {started.rank} of {started.size}"
    until = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
    text = f"{here}: waiting for the others at {started.master}, until {until} (MOTIONLAB_CONNECT_SECONDS={seconds})"
    notice = threading.Timer(NOTICE_SECONDS, print, (printable(text),), {"file": sys.stderr, "flush": True})
    notice.daemon = True
    notice.start()
    try:
        waits = timedelta(seconds=seconds)
        store, rank, size = next(rendezvous(method, started.rank, started.size, timeout=waits))
        store.set_timeout(waits)
        # Every process says that it is here, and waits for all: afterwards a long silence means work, not absence.
        store.set(f"motionlab/here/{rank}", "1")
        store.wait([f"motionlab/here/{other}" for other in range(size)], waits)
        store.set_timeout(TIMEOUT)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    except (RuntimeError, ValueError, OSError) as error:  # torch's errors of stores are RuntimeErrors
        if is_out_of_memory(error):
            raise
        raise InputError(
            here,
            found=f"no meeting with the others at {started.master} within {seconds} s ({first_line(error)})",
            expected=f"{started.size} processes, and the one of rank 0 at that address",
            fix="Check MASTER_ADDR, MASTER_PORT and the other processes; MOTIONLAB_CONNECT_SECONDS waits longer.",
        ) from error
    finally:
        notice.cancel()


def leave(code: int) -> NoReturn:
    """End a process that torchrun started, with its output written and nothing torn down.

    The work is done and the processes have parted. Only the end of the interpreter is left, in which torch 2.13
    with gloo aborted about one process in ten on a busy machine, so that torchrun called a finished training failed.
    multiprocessing ends its children in the same way.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_processes(
    function: Callable[..., T], size: int, *arguments: Any, device: str = "cpu", threads: int = 1
) -> list[T]:
    """Run `function(*arguments)` in `size` new, connected processes and return what each returned, by rank.

    For lessons and tests; a long training is started by torchrun. The processes are spawned, not forked (a forked
    process inherits torch's thread pool without its threads), so `function` must be in a module.

    Raises:
        InputError: or whatever the first failing process raised; the others are ended.
    """
    context = get_context("spawn")
    with temporary_folder("processes") as folder:
        meet = (Path(folder) / "meet").as_uri()
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        workers = [
            context.Process(
                target=_worker, args=(sender, meet, rank, size, device, threads, function, arguments), daemon=True
            )
            for rank, (_, sender) in enumerate(pipes)
        ]
        try:
            for worker, (_, sender) in zip(workers, pipes, strict=True):
                worker.start()
                sender.close()  # so that the end of the worker is the end of its pipe
            return _collect([receiver for receiver, _ in pipes])
        finally:
            for worker in workers:
                if worker.pid is not None:
                    worker.terminate()
                    worker.join()


def lost_peer(error: BaseException | None) -> bool:
    """Whether this error only says that another process ended. torch has a class for some of these, gloo a text."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _collect(receivers: list[Any]) -> list[Any]:
    """Results in the order of the ranks, or the error of the process that failed first."""
    results: dict[int, Any] = {}
    consequence: Exception | None = None
    while len(results) < len(receivers):
        for ready in connection.wait([pipe for rank, pipe in enumerate(receivers) if rank not in results]):
            rank = receivers.index(ready)
            kind: str = "error"
            value: Any = RuntimeError(f"process {rank} ended without a word")
            with contextlib.suppress(EOFError):
                kind, value = receivers[rank].recv()
            if kind == "error":
                raise value
            if kind == "lost":  # this process only noticed that another one failed: wait for that one's error
                consequence = value
            results[rank] = value
    if consequence is not None:
        raise consequence
    return [results[rank] for rank in range(len(receivers))]


def _worker(
    sender: Any, meet: str, rank: int, size: int, device: str, threads: int, function: Any, arguments: Any
) -> None:
    """One process of `run_processes`. Its result or error is sent to the parent."""
    end_with_parent()
    torch.set_num_threads(threads)
    os.environ["LOCAL_RANK"] = str(rank)
    try:
        with connected(device, where=meet, rank=rank, size=size):
            result = function(*arguments)
        sender.send(("result", result))
    except InputError as error:
        sender.send(("lost" if lost_peer(error.__cause__) else "error", error))
    except BaseException as error:  # its class may be one that cannot be sent, so its text is
        sender.send(("error", RuntimeError(f"process {rank}: " + "".join(traceback.format_exception(error)))))


def _own_gpu(local: int, count: int) -> int:
    """The GPU of this process: its number among the processes of this machine."""
    if local >= count:
        raise InputError(
            "--nproc-per-node",
            found=f"process {local + 1} on a machine with {count} GPU(s)",
            expected="one process per GPU",
            fix=f"Use --nproc-per-node {count}, or device=cpu.",
        )
    return local


@contextlib.contextmanager
def _quiet(really: bool) -> Iterator[None]:
    """Send the standard output to nowhere."""
    if not really:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
