"""Ablate: train the same small tokenizer at every point of a grid, and draw what changed.

    motionlab ablate tokenizer --grid quantizer=fsq,vq_ema codebook_size=256,1024 seed=0,1,2

Points are trained in parallel in processes of one thread each: a model this small does not fill a second thread. The
file (`results.py`) grows by a line per point, and a point in it is not trained again. So the command can
be stopped at any time, and given again with a larger grid.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from motionlab.config.fields import shown
from motionlab.config.yaml_values import read_yaml, shortened
from motionlab.data.splits import Splits
from motionlab.environment import usable_path
from motionlab.errors import InputError, printable
from motionlab.files import atomic_path
from motionlab.files.litter import sweep
from motionlab.files.lock import IN_USE, locked
from motionlab.jobs.ablations.failures import Failed, grid_error, point_name, refuse_failed
from motionlab.jobs.ablations.results import Row, append_row, key_of, load_rows, start_file
from motionlab.jobs.ablations.tokenizer_point import (
    Point,
    Result,
    canonical,
    check_key,
    point_config,
    train_point,
    usual_value,
)
from motionlab.jobs.prepare import check_data, prepare
from motionlab.jobs.workers import worker_pool
from motionlab.plots.ablation import overview_figure
from motionlab.plots.curves import figure_to_png
from motionlab.runtime import one_thread, physical_cores

Axes = dict[str, list[Any]]  # key -> the values that it takes
MAX_POINTS = 500  # a grid of more is more often a slip of the keyboard than a wish: it trains for hours
DATA = "data."  # begins the keys that say where the motions come from
EXAMPLE = "For example codebook_size=256,1024."


def parse_grid(texts: Sequence[str], check: Callable[[str], None] = check_key) -> Axes:
    """Read `key=value,value` texts. Values are YAML, so `norm=LN,null` and `betas=[0.9,0.99],[0.9,0.95]` work.

    >>> parse_grid(["quantizer=fsq,vq_ema", "tokenizer_training.seed=0,1"])
    {'quantizer': ['fsq', 'vq_ema'], 'seed': [0, 1]}

    Args:
        check: raises an InputError for a key that no point may name.

    Raises:
        InputError: no `=`, no value, a key twice, or a key that does not exist (with the nearest one).
    """
    axes: Axes = {}
    for text in texts:
        key, equals, listed = text.partition("=")
        key = key.removeprefix("tokenizer_training.").removeprefix("tokenizer.")
        try:
            values = read_yaml(f"[{listed}]", f"grid axis {shortened(key)}") if equals else []
        except InputError as error:
            found = f"{shown(text)} ({error.found})"
            raise InputError("grid", found=found, expected="key=value,value", fix=EXAMPLE) from None
        if not isinstance(values, list) or not values:
            raise InputError("grid", found=shown(text), expected="key=value,value", fix=EXAMPLE)
        if not (key.startswith(DATA) and check is check_key):
            check(key)
        if key in axes:
            raise InputError("grid", found=f"{key} twice", expected="each key once", fix="Join its values by commas.")
        axes[key] = values
    if not axes:
        raise InputError(
            "grid", found="no axis", expected="key=value,value", fix="For example --grid quantizer=fsq,vq_ema seed=0,1."
        )
    return axes


def grid_points(
    axes: Mapping[str, Sequence[Any]],
    canonical: Callable[[Mapping[str, Any]], Point] = canonical,
    max_points: int = MAX_POINTS,
) -> list[Point]:
    """Every combination, checked. Seed by seed, so that a run that is stopped early has whole seeds.

    Raises:
        InputError: a point that cannot be trained, or more than `max_points`. These are counted before any is made.
    """
    count = math.prod(len(values) for values in axes.values())
    if count > max_points:
        sizes = " x ".join(f"{len(values)} of {printable(key)}" for key, values in axes.items())
        raise InputError(
            "grid",
            found=f"{count:,} points ({sizes})",
            expected=f"at most {max_points:,} trainings",
            fix="Name fewer values, or allow it with --max-points.",
        )
    keys = sorted(axes, key=lambda key: key != "seed")  # the seed is the outermost loop, the rest keep their order
    points = []
    for chosen in itertools.product(*(axes[key] for key in keys)):
        point = dict(zip(keys, chosen, strict=True))
        try:
            points.append(canonical(point))
        except InputError as error:
            raise grid_error(point, error) from error
    return list({key_of(point): point for point in points}.values())


def ablate(
    out: str | Path,
    axes: Mapping[str, Sequence[Any]],
    *,
    workers: int | None = None,
    max_points: int = MAX_POINTS,
    corpus: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Train every point of the grid that `out` does not hold yet, and draw all that it holds next to it.

    Args:
        out: the result file, `*.jsonl`; the picture has the same name and ends in `.png`.
        axes: key -> values; see `parse_grid`. `data.` and a key of `DataConfig` is no axis: its one value holds for
            every point.
        workers: processes; by default one per physical core. With 1 everything runs in this process.
        max_points: refuse a larger grid.
        corpus: changes of the corpus, for a quick trial.
        say: takes one line per finished point.

    Returns:
        The rows of the grid, in its order.

    Raises:
        InputError: a wrong grid, results of other settings in `out`, another process that fills it, or points that
            failed. Points that were finished stay in `out` in every case.
    """
    axes, data = _without_data(axes)
    out, points = usable_path(out, "out"), grid_points(axes, max_points=max_points)
    config = point_config(corpus=corpus, data=data)
    check_data(config)
    with alone(out):
        there = start_file(out, config)
        held = {key_of(row.point) for row in there}
        todo = [point for point in points if key_of(point) not in held]
        if todo:
            prepare(config)  # once, here; the processes find it in the cache
        train = functools.partial(run_point, corpus=corpus, data=data)
        failed = fill_file(out, points, todo, train, workers, say, _numbers, seconds_of(there))
        everything = load_rows(out)
        if everything:
            with atomic_path(out.with_suffix(".png")) as path:
                path.write_bytes(figure_to_png(overview_figure(everything)))
    refuse_failed(failed, points, usual_value)
    rows = {key_of(row.point): row for row in everything}
    return [rows[key_of(point)] for point in points]


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Fill the result file `out` as the only process, without what killed ones left of it or of their trainings."""
    with locked(out.with_name(f"{out.name}.{IN_USE}"), say=print):
        for folder in (out.parent, tempfile.gettempdir()):
            sweep(folder, depth=1)
        yield


def fill_file(
    out: Path,
    points: Sequence[Point],
    todo: Sequence[Point],
    train: Callable[[Point], Any],
    workers: int | None,
    say: Callable[[str], None],
    numbers: Callable[[Any], str],
    seconds: float | None = None,
) -> Failed:
    """Train the points that are to do and append each to the file when it is done.

    Args:
        points: all points of the grid; todo: those that the file does not hold.
        train: a point to its result. It is called in other processes, so it is a function of a module.
        numbers: the text that `say` gets for a result.
        seconds: of one training, where something is known, for an estimate of the whole.

    Returns:
        the points that failed, each with its error.
    """
    count = min(workers or physical_cores(), max(len(todo), 1))
    estimate = f", about {seconds * len(todo) / count / 60:.0f} min" if seconds and todo else ""
    there = f"{len(points) - len(todo):,} of them in {printable(out)}"
    say(f"{len(points):,} points, {there}; {count} at a time{estimate}")
    failed: Failed = []
    began = time.perf_counter()
    for done, (point, outcome) in enumerate(_train_all(todo, train, count), start=1):
        if isinstance(outcome, InputError):
            failed.append((point, outcome))
            say(f"{done}/{len(todo)} {point_name(point)}: FAILED: {outcome}")
            continue
        append_row(out, Row(point, outcome))
        left = (time.perf_counter() - began) / done * (len(todo) - done)
        say(f"{done}/{len(todo)} {point_name(point)}: {numbers(outcome)}, {left / 60:.0f} min left")
    return failed


def seconds_of(rows: Sequence[Row]) -> float | None:
    """The usual time of one training, by the points that a file holds; None when it holds none."""
    return statistics.median(row.result.seconds for row in rows) if rows else None


def run_point(
    point: Mapping[str, Any], corpus: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
) -> Result:
    """Train one point in this process with one thread and nothing printed. It can run in another process."""
    with one_thread(), contextlib.redirect_stdout(io.StringIO()):
        config = point_config(point, corpus, data)
        return train_point(config, _motions(*(tuple(sorted((some or {}).items())) for some in (corpus, data)))).result


def _train_all(points: Sequence[Point], train: Callable[[Point], Any], workers: int) -> Iterator[tuple[Point, Any]]:
    """Every point with its result, or with its error, in the order in which they finish."""
    if workers == 1:
        for point in points:
            try:
                yield point, train(point)
            except InputError as error:
                yield point, error
        return
    pool = worker_pool(workers)
    try:
        futures: dict[Future[Any], Point] = {pool.submit(train, point): point for point in points}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except InputError as error:
                yield futures[future], error
    except BrokenProcessPool:
        raise InputError(
            "ablation",
            found="a process that was ended from outside, often for lack of memory",
            expected="processes that finish",
            fix="Give the same command again with fewer --workers; finished points are kept.",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@functools.lru_cache(maxsize=1)
def _motions(corpus: tuple[tuple[str, Any], ...], data: tuple[tuple[str, Any], ...]) -> Splits:
    """The motions, opened once per process."""
    return prepare(point_config(corpus=dict(corpus), data=dict(data)))


def _without_data(axes: Mapping[str, Sequence[Any]]) -> tuple[Axes, dict[str, Any]]:
    """The axes without the settings of the motions, and those."""
    data = {}
    for key, values in axes.items():
        if key.startswith(DATA):
            if len(values) != 1:
                found = f"{len(values)} values"
                fix = "Give one; use another --out for other motions."
                raise InputError(f"grid axis {key}", found=found, expected="one: all points share the motions", fix=fix)
            data[key.removeprefix(DATA)] = values[0]
    return {key: list(values) for key, values in axes.items() if not key.startswith(DATA)}, data


def _numbers(result: Result) -> str:
    return (
        f"{result.mpjpe_heading_mm:.1f} mm, {result.used_fraction:.0%} of {result.codes:,} codes, "
        f"perplexity {result.perplexity:,.0f}, {result.seconds:.0f} s"
    )
