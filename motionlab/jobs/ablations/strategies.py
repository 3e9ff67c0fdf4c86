"""Train the same decoder in every way of a grid, and write down what each can do.

    motionlab ablate strategies --run runs/tiny --grid strategy=teacher_forcing,keep_50,masked seed=0,1,2

The tokenizer and its codes are those of a run (`strategy_point`), of which nothing else needs to be trained. The
measurements are in `strategy_measure`; the file, the processes and resuming after a stop are those of `tokenizer.py`.

`notebooks/results/strategies.jsonl`, which lesson 08 shows, was made by

    motionlab train tokenizer --preset two_frames
    motionlab ablate strategies --run runs/two_frames --grid seed=0,1,2 --out notebooks/results/strategies.jsonl
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from motionlab.config import to_mapping
from motionlab.environment import usable_path
from motionlab.errors import InputError
from motionlab.jobs.ablations.failures import refuse_failed
from motionlab.jobs.ablations.results import Row, key_of, load_rows, open_file
from motionlab.jobs.ablations.strategy_measure import (
    MEASURE,
    StrategyResult,
    check_test_lengths,
    measure_decoder,
    reference_numbers,
)
from motionlab.jobs.ablations.strategy_point import STEPS, STRATEGIES, check_point, open_ground, train_decoder
from motionlab.jobs.ablations.tokenizer import (
    MAX_POINTS,
    Axes,
    alone,
    fill_file,
    grid_points,
    parse_grid,
    seconds_of,
)
from motionlab.jobs.ablations.tokenizer_point import Point
from motionlab.runtime import one_thread

USUAL: Point = {"strategy": "teacher_forcing", "seed": 0, "steps": STEPS, "clips": None}

# The settings named in the first line of a result file. Written out, so that a setting added later does not end a file.
LLAMA_KEYS = ("n_layer", "n_head", "n_kv_heads", "dim", "hidden", "text_drop", "edge_drop")
TRAINING_KEYS = (
    "batch_size",
    "grad_accum_steps",
    "lr",
    "warmup_steps",
    "min_lr_ratio",
    "betas",
    "weight_decay",
    "clip_norm",
)
SAMPLING_KEYS = ("greedy", "temperature", "top_k", "top_p", "max_tokens", "guidance", "seed")


def strategy_grid(texts: Sequence[str]) -> Axes:
    """Read `key=value,value` texts; without `strategy` in them, all strategies.

    >>> strategy_grid(["strategy=masked,keep_50", "seed=0,1"])
    {'strategy': ['masked', 'keep_50'], 'seed': [0, 1]}
    """
    axes = parse_grid(texts, check=_check_key)
    return axes if "strategy" in axes else {"strategy": list(STRATEGIES), **axes}


def full_point(point: Mapping[str, Any]) -> Point:
    """A point with every key named, checked.

    >>> full_point({"strategy": "masked", "seed": 1})
    {'strategy': 'masked', 'seed': 1, 'steps': 250, 'clips': None}
    """
    for key in point:
        _check_key(key)
    full = {**USUAL, **point}
    check_point(full)
    return full


def ablate_strategies(
    run: str | Path,
    out: str | Path,
    axes: Mapping[str, Sequence[Any]],
    *,
    workers: int | None = None,
    max_points: int = MAX_POINTS,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Train every point of the grid that `out` does not hold yet.

    Args:
        run: folder of a finished run.
        out: the result file, `*.jsonl`; a point is added when it is done.
        axes: see `strategy_grid`.
        workers: processes of one thread each; by default one per physical core. With 1 everything runs in this process.
        max_points: refuse a larger grid.
        say: takes one line per finished point.

    Returns:
        The rows of the grid, in its order.

    Raises:
        InputError: not a run, a wrong grid, results of another run in `out`, another process that fills it, or points
            that failed.
    """
    out, points = usable_path(out, "out"), grid_points(axes, full_point, max_points)
    settings = shared_settings(run)
    with alone(out):
        there = open_file(out, settings, lambda: _header(run, settings), StrategyResult)
        held = {key_of(row.point) for row in there}
        todo = [point for point in points if key_of(point) not in held]
        train = functools.partial(run_point, run=str(run))
        failed = fill_file(out, points, todo, train, workers, say, _numbers, seconds_of(there))
    refuse_failed(failed, points, USUAL.get)
    rows = {key_of(row.point): row for row in load_strategies(out)}
    return [rows[key_of(point)] for point in points]


def load_strategies(path: str | Path) -> list[Row]:
    """The finished points of a result file; `row["strategy"]`, `row["score_seen"]` and so on."""
    return load_rows(path, StrategyResult)


def run_point(point: Mapping[str, Any], run: str | Path) -> StrategyResult:
    """Train and measure one point in this process with one thread and nothing printed."""
    with one_thread(), contextlib.redirect_stdout(io.StringIO()):
        ground = open_ground(str(run))
        full = full_point(point)
        trained = train_decoder(ground, full["strategy"], seed=full["seed"], steps=full["steps"], clips=full["clips"])
        return measure_decoder(ground, trained)


def shared_settings(run: str | Path) -> dict[str, dict[str, Any]]:
    """Shared by all points of a file: the decoder, its training, how motions are drawn, what is measured.

    The codes are named by their hash: results on the codes of another tokenizer are not comparable.
    """
    ground = open_ground(str(run))
    check_test_lengths(ground)
    config = ground.run.config
    values = to_mapping(config)
    return {
        "corpus": values["corpus"],
        "codes": {
            "sha256": ground.codes.digest,
            "quantizer": values["tokenizer"]["quantizer"],
            "codebook_size": ground.codebook_size,
        },
        "llama": {key: values["llama"][key] for key in LLAMA_KEYS},
        "llama_training": {key: values["llama_training"][key] for key in TRAINING_KEYS},
        "sampling": {key: values["sampling"][key] for key in SAMPLING_KEYS},
        "measure": dict(MEASURE),
    }


def _header(run: str | Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    with one_thread(), contextlib.redirect_stdout(io.StringIO()):
        reference = reference_numbers(open_ground(str(run)))
    return {"ablation": "strategies", "torch": torch.__version__, "settings": settings, "reference": reference}


def _check_key(key: str) -> None:
    if key not in USUAL:
        raise InputError(
            f"grid axis {key}", found="an unknown key", expected=", ".join(USUAL), fix="Name one of these."
        )


def _numbers(result: StrategyResult) -> str:
    loss = f"masked loss {result.masked_loss:.3f}" if result.loss is None else f"loss {result.loss:.3f}"
    scores = {"seen": result.score_seen, "unseen": result.score_unseen}
    told = " ".join(f"{score:.3f} {name}" for name, score in scores.items() if score is not None) or "not judged"
    return f"{loss}, action score {told}, {result.seconds_a_step * 1000:.0f} ms per step, {result.seconds:.0f} s"
