"""The comparison of training strategies, on the run of the `ci` preset with two steps per point."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lessons.masking_vs_teacher_forcing.strategy_times import time_strategies
from motionlab.errors import InputError
from motionlab.jobs.ablations import strategies as job
from motionlab.jobs.ablations import strategy_measure
from motionlab.jobs.ablations.results import key_of, load_rows, read_header
from motionlab.jobs.ablations.strategy_measure import MEASURE, StrategyResult
from motionlab.jobs.ablations.strategy_point import STRATEGIES, open_ground, point_settings, train_decoder
from motionlab.jobs.run_folder import Run
from motionlab.llama.decoding.masked import generate_masked
from motionlab.llama.objectives.strategies import MaskedModelling
from motionlab.views.strategies import over_seeds, position_figure

SMALL = {
    **MEASURE, "curve_clips": 4, "places": 16, "bin": 8, "starts": [4, 8], "distance": 5, "captions": 2, "looks": 3,
    "fewer_looks": [1], "choice_noise": [2.0], "same_captions": 1, "same_samples": 2,
}  # fmt: skip
GRID: dict[str, list[Any]] = {"strategy": ["teacher_forcing", "masked"], "seed": [0], "steps": [2]}


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategy_measure, "MEASURE", SMALL)
        patch.setattr(job, "MEASURE", SMALL)
        yield


@pytest.fixture(scope="module")
def measured(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    out = tmp_path_factory.mktemp("strategies") / "out.jsonl"
    return out, job.ablate_strategies(finished_run.folder, out, GRID, workers=1, say=lambda line: None)


@pytest.mark.slow
def test_every_number_is_there_and_means_something(measured: tuple[Path, list[Any]]) -> None:
    for row in measured[1]:
        result, masked = row.result, row["strategy"] == "masked"
        none = {name for name, value in dataclasses.asdict(result).items() if value is None}
        causal, parallel = {"loss", "accuracy", "train_loss", "noisy_loss"}, {"score_fewer_looks", "score_choice_noise"}
        assert none == (causal if masked else {"masked_loss", *parallel})
        assert len(result.clean_accuracy) == len(result.own_nats) == 2 and len(result.distance_accuracy) == 5
        assert all(0 <= value <= 1 for value in [*result.clean_accuracy, *result.own_accuracy])
        assert all(0 <= value <= 1 for value in (result.score_seen, result.score_unseen, result.exact_seen))
        assert result.diversity > 0 and result.multimodality > 0 and result.seconds_a_step > 0 <= result.seconds
        assert math.isfinite(result.masked_loss if masked else result.loss)
    forced = measured[1][0].result
    assert forced.noisy_loss[0] == forced.loss and len(forced.noisy_loss) == len(MEASURE["noise"])


def test_the_file_says_what_all_points_share(measured: tuple[Path, list[Any]], finished_run: Run) -> None:
    header = read_header(measured[0])
    assert header["ablation"] == "strategies" and header["settings"]["measure"] == SMALL
    assert header["settings"]["llama"]["dim"] == finished_run.config.llama.dim
    assert 0 <= header["reference"]["reconstructed_seen"] <= 1 and len(header["reference"]["curve_count"]) == 16
    json.dumps(header)


def test_a_finished_point_is_not_trained_again(
    measured: tuple[Path, list[Any]], finished_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rows = measured
    trained: list[Any] = []

    def run_point(point: Any, run: str) -> StrategyResult:
        trained.append(point)
        return rows[0].result

    monkeypatch.setattr(job, "run_point", run_point)
    more = job.ablate_strategies(finished_run.folder, out, {**GRID, "seed": [0, 1]}, workers=1, say=lambda line: None)
    assert more[:2] == rows and [(point["strategy"], point["seed"]) for point in trained] == [
        ("teacher_forcing", 1),
        ("masked", 1),
    ]


def test_the_same_point_gives_the_same_decoder(finished_run: Run) -> None:
    ground = open_ground(str(finished_run.folder))

    def weights(**point: Any) -> Any:
        trained = train_decoder(ground, "keep_50", **{"seed": 0, "steps": 2, "clips": None, **point})
        return trained.model.lm_head.weight.detach()

    first = weights()
    assert weights().equal(first) and not weights(seed=1).equal(first) and not weights(clips=4).equal(first)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains(finished_run: Run, strategy: str) -> None:
    trained = train_decoder(open_ground(str(finished_run.folder)), strategy, seed=0, steps=2, clips=6)
    assert (trained.model.mask_token is not None) == isinstance(STRATEGIES[strategy], MaskedModelling)
    assert not trained.model.training and trained.seconds_a_step > 0


def test_all_strategies_draw_alike_and_none_is_told_the_length(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_ground(str(finished_run.folder))
    trained = train_decoder(ground, "masked", seed=0, steps=2, clips=6)
    asked: list[Any] = []

    def recording(*args: Any) -> Any:
        asked.append(args[3:])
        return generate_masked(*args)

    monkeypatch.setattr(strategy_measure, "generate_masked", recording)
    captions = [ground.splits.train.captions(i)[0] for i in (3, 0)]  # known ones: the nearest clip has this caption
    strategy_measure.write_motions(ground, trained.model, captions, None)
    lengths, drawn = asked[0]
    for length, caption in zip(lengths, captions, strict=True):
        assert length in {len(ground.codes.train[i]) for i in _with_caption(ground, caption)}
    sampling = finished_run.config.sampling
    for name in ("temperature", "top_k", "top_p", "guidance", "seed"):
        assert getattr(drawn, name) == getattr(sampling, name), name
    greedy = dataclasses.replace(sampling, greedy=True)
    monkeypatch.setattr(ground.run.config, "sampling", greedy)
    strategy_measure.write_motions(ground, trained.model, captions, [4, 5], looks=2, choice_noise=3.0)
    lengths, drawn = asked[1]
    assert lengths == [4, 5] and drawn.temperature < 1e-6 and (drawn.steps, drawn.choice_noise) == (2, 3.0)


def _with_caption(ground: Any, caption: str) -> list[int]:
    clips = ground.splits.train
    return [i for i in range(len(clips)) if caption in clips.captions(i)]


def test_the_settings_are_those_of_the_run(finished_run: Run) -> None:
    settings, given = point_settings(finished_run, 8, 3), finished_run.config.llama_training
    assert (settings.steps, settings.seed, settings.warmup_steps) == (8, 3, min(given.warmup_steps, 2))
    assert settings.lr == given.lr and settings.batch_size == given.batch_size


def test_results_of_other_codes_are_not_mixed(
    measured: tuple[Path, list[Any]], finished_run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(measured[0].read_text().replace('"sha256": "', '"sha256": "0'))
    with pytest.raises(InputError, match="codes.sha256"):
        job.ablate_strategies(finished_run.folder, other, GRID, workers=1)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["strategi=masked"], "strategy, seed, steps, clips"),
        (["strategy"], "key=value"),
        (["seed=0", "seed=1"], "twice"),
    ],
)
def test_a_wrong_grid(texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        job.strategy_grid(texts)


@pytest.mark.parametrize(
    "point", [{"strategy": "dropout"}, {"seed": "x"}, {"steps": 0}, {"clips": 0}, {"steps": 1.5}, {"seed": True}]
)
def test_a_wrong_point(point: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="grid axis"):
        job.full_point(point)


def test_without_a_strategy_the_grid_has_all() -> None:
    assert job.strategy_grid(["seed=0,1"])["strategy"] == list(STRATEGIES)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        job.ablate_strategies(tmp_path, tmp_path / "out.jsonl", GRID)


def test_the_times_of_all_strategies(finished_run: Run) -> None:
    found = time_strategies(finished_run.folder, rounds=1)
    assert list(found["seconds"]) == list(STRATEGIES) and all(value > 0 for value in found["seconds"].values())
    assert found["batch"][0] == finished_run.config.llama_training.batch_size


# ---- the results that lesson 08 shows --------------------------------------------------------------------------------
def test_the_committed_results_are_complete(root: Path) -> None:
    path = root / "notebooks" / "results" / "strategies.jsonl"
    rows = load_rows(path, StrategyResult)
    header = read_header(path)
    assert header["settings"]["measure"] == MEASURE, "measured otherwise than the code does now"
    by_strategy: dict[str, list[int]] = {}
    for row in rows:
        assert row.point == job.full_point(row.point)
        if row["clips"] is None:
            by_strategy.setdefault(row["strategy"], []).append(row["seed"])
    assert len({key_of(row.point) for row in rows}) == len(rows) and len({row["steps"] for row in rows}) == 1
    whole = {name for name, seeds in by_strategy.items() if sorted(seeds) == [0, 1, 2]}
    assert whole >= {"teacher_forcing", "keep_90", "keep_50", "masked"}, "what lesson 08 draws conclusions from"
    assert path.stat().st_size < 100_000


def test_places_that_no_clip_reaches_have_no_number_and_the_file_can_be_read(
    finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (strategy_measure, job):
        monkeypatch.setattr(module, "MEASURE", {**SMALL, "places": 64})  # clips have 40 codes at most
    out = tmp_path / "out.jsonl"
    rows = job.ablate_strategies(finished_run.folder, out, GRID, workers=1, say=lambda line: None)
    assert rows == load_rows(out, StrategyResult)
    for row in rows:
        assert row["clean_accuracy"][0] is not None and row["clean_accuracy"][-1] is row["own_nats"][-1] is None
    assert np.isnan(over_seeds(rows, "own_nats")["masked"][0, -1])
    position_figure(rows)
