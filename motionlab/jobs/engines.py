"""One function over many parts of the work: in this process, in processes of this machine, or by Ray or Dask on many.

An engine starts workers, sends them parts, and says when one is done. The function and its parts have to be
picklable, and results small: what is large goes to the disk, which all workers see.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any, Literal, TypeVar, get_args

from motionlab.errors import InputError, optional_module
from motionlab.jobs.workers import worker_pool

Engine = Literal["local", "ray", "dask"]
ENGINES: tuple[str, ...] = get_args(Engine)
P = TypeVar("P")
R = TypeVar("R")
_AHEAD = 2  # parts a worker that are sent before the first results come


def map_parts(
    function: Callable[[P], R],
    parts: Iterable[P],
    *,
    engine: str = "local",
    workers: int = 1,
    address: str | None = None,
) -> Iterator[R]:
    """The results, in the order in which they are done. A part is taken from `parts` when a worker is about to need it.

    Args:
        engine: `local`, `ray` or `dask`.
        workers: processes to start; local with one worker starts none. A cluster that is there has its own number.
        address: of a cluster that is there: `ray://HOST:10001` or `auto` for Ray, `tcp://HOST:8786` for Dask. None
            starts one on this machine, and stops it at the end.

    Raises:
        InputError: an unknown engine, fewer than one worker, or an address that does not answer.
        MissingExtra: the engine is not installed.
        Exception: whatever `function` raises in a worker; parts that were not begun are not.
    """
    if engine not in ENGINES:
        raise InputError("engine", found=repr(engine), expected=" or ".join(ENGINES), fix="Choose one of them.")
    if workers < 1:
        raise InputError("workers", found=workers, expected="1 or more", fix="Leave it out for one.")
    if engine == "local" and address is not None:
        raise InputError("address", found=repr(address), expected="none with engine local", fix="Choose ray or dask.")
    if engine == "local":
        return map(function, parts) if workers == 1 else _local(function, parts, workers)
    return (_ray if engine == "ray" else _dask)(function, parts, workers, address)


def _local(function: Callable[[P], R], parts: Iterable[P], workers: int) -> Iterator[R]:
    with worker_pool(workers) as pool:

        def done(futures: list[Any]) -> tuple[list[R], list[Any]]:
            ready, rest = wait(futures, return_when=FIRST_COMPLETED)
            return [future.result() for future in ready], list(rest)

        try:
            yield from _keep_busy(lambda part: pool.submit(function, part), parts, workers, done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ray(function: Callable[[P], R], parts: Iterable[P], workers: int, address: str | None) -> Iterator[R]:
    ray = optional_module("ray", extra="ray", purpose="work with Ray")
    started = not ray.is_initialized()
    if started:
        own = {"num_cpus": workers, "include_dashboard": False} if address is None else {"address": address}
        with _answering("ray", address):
            ray.init(log_to_driver=False, logging_level="ERROR", **own)
    remote = ray.remote(max_retries=3)(function)  # a machine that is lost costs the parts that it was at

    def done(futures: list[Any]) -> tuple[list[R], list[Any]]:
        ready, rest = ray.wait(futures, num_returns=1)
        try:
            return ray.get(ready), rest
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    try:
        size = int(ray.cluster_resources().get("CPU", workers))
        yield from _keep_busy(remote.remote, parts, max(1, size), done)
    finally:
        if started:
            ray.shutdown()


def _dask(function: Callable[[P], R], parts: Iterable[P], workers: int, address: str | None) -> Iterator[R]:
    dask = optional_module("distributed", extra="dask", purpose="work with Dask")
    with contextlib.ExitStack() as stack:
        with _answering("dask", address):
            if address is None:
                address = stack.enter_context(
                    dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=40)
                ).scheduler_address
            client = stack.enter_context(dask.Client(address))

        def done(futures: list[Any]) -> tuple[list[R], list[Any]]:
            ready = dask.wait(futures, return_when="FIRST_COMPLETED")
            return [future.result() for future in ready.done], list(ready.not_done)

        size = sum(client.nthreads().values())
        yield from _keep_busy(lambda part: client.submit(function, part, pure=False), parts, max(1, size), done)


def _keep_busy(
    submit: Callable[[P], Any],
    parts: Iterable[P],
    workers: int,
    done: Callable[[list[Any]], tuple[list[R], list[Any]]],
) -> Iterator[R]:
    """Have a few parts sent for each worker, never all: a million of them would wait in the memory of a scheduler."""
    futures: list[Any] = []
    for part in parts:
        futures.append(submit(part))
        if len(futures) >= _AHEAD * workers:
            ready, futures = done(futures)
            yield from ready
    while futures:
        ready, futures = done(futures)
        yield from ready


@contextlib.contextmanager
def _answering(engine: str, address: str | None) -> Iterator[None]:
    """An engine says in many ways that nobody answers."""
    try:
        yield
    except Exception as error:
        raise InputError(
            f"{engine} at {address or 'this machine'}",
            found=f"{type(error).__name__}: {error}",
            expected="a cluster that answers",
            fix="Check the address, or leave it out to start workers here.",
        ) from error
