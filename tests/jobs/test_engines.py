"""One function over many parts, by each engine: all results, errors of workers, and no more parts ahead than needed."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import pytest

from motionlab.errors import InputError, MissingExtra
from motionlab.jobs.engines import map_parts

NEEDS = {"local": "concurrent.futures", "dask": "distributed", "ray": "ray"}


@pytest.mark.parametrize("engine", NEEDS)
def test_two_workers_do_all_parts(engine: str) -> None:
    pytest.importorskip(NEEDS[engine])
    asked: list[int] = []

    def parts() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    results = map_parts(operator.neg, parts(), engine=engine, workers=2)
    found = [next(results)]
    assert len(asked) < 20, "parts are taken when they are needed"
    assert sorted([*found, *results]) == [-number for number in reversed(range(20))]


@pytest.mark.parametrize("engine", NEEDS)
def test_an_error_of_a_worker_is_raised_here(engine: str) -> None:
    pytest.importorskip(NEEDS[engine])
    with pytest.raises(ZeroDivisionError):
        list(map_parts((1).__truediv__, [1, 2, 0], engine=engine, workers=2))


def test_one_local_worker_is_this_process() -> None:
    assert list(map_parts(lambda number: number + 1, [1, 2])) == [2, 3]  # a lambda cannot be sent anywhere


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"engine": "spark"}, "engine: found 'spark', expected local or ray or dask"),
        ({"workers": 0}, "workers: found 0, expected 1 or more"),
        ({"address": "auto"}, "address: found 'auto', expected none with engine local"),
    ],
)
def test_wrong_choices(choice: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        map_parts(operator.neg, [1], **choice)  # type: ignore[arg-type]


def test_a_cluster_that_does_not_answer() -> None:
    distributed = pytest.importorskip("distributed")
    import dask

    assert distributed
    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}), pytest.raises(InputError, match="dask at tcp"):
        list(map_parts(operator.neg, [1], engine="dask", address="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_engine_names_its_extra(engine: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtra, match=rf"motionlab\[{engine}\]"):
        list(map_parts(operator.neg, [1], engine=engine))
