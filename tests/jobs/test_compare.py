"""Runs compared over seeds: the same clips pair by pair, other clips by their means; and what is refused."""

from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from motionlab.errors import InputError
from motionlab.evaluation.intervals import differs, over_seeds
from motionlab.files.records import write_record
from motionlab.jobs.compare import RULE, compare_runs, describe_comparison
from motionlab.jobs.run_folder import Run

CLIPS = 40


def scored(folder: Path, finished_run: Run, seed: int, mean: float, digest: str = "clips") -> Path:
    """A run folder with made-up scores of one test split."""
    folder.mkdir(parents=True)
    shutil.copy(finished_run.folder / "config.yaml", folder / "config.yaml")
    random = np.random.default_rng(seed)
    hard = np.random.default_rng(1234).normal(size=CLIPS)  # the same clips are hard for all
    values = np.clip(mean + 0.1 * hard + 0.02 * random.normal(size=CLIPS) + 0.01 * random.normal(), 0, 1)
    metrics = copy.deepcopy(finished_run.metrics)
    split = metrics["generation"]["seen_pairs"]
    looked_up = [0.5 if clip % 2 else None for clip in range(CLIPS)]
    split |= {"clips": CLIPS, "made_from": digest}
    split["per_clip"] = {"score": {"generated": values.tolist(), "same actions": looked_up}}
    metrics["generation"] = {"seen_pairs": split}
    write_record(folder / "metrics.json", metrics)
    return folder


@pytest.fixture
def groups(tmp_path: Path, finished_run: Run) -> tuple[list[Path], list[Path]]:
    """Three runs of a better and three of a worse recipe."""
    better = [scored(tmp_path / f"a{seed}", finished_run, seed, 0.8) for seed in range(3)]
    return better, [scored(tmp_path / f"b{seed}", finished_run, 10 + seed, 0.7) for seed in range(3)]


def table(folders: list[Path]) -> list[list[float]]:
    return [Run.open(one).metrics["generation"]["seen_pairs"]["per_clip"]["score"]["generated"] for one in folders]


def test_two_groups_are_compared_by_the_rule(groups: tuple[list[Path], list[Path]]) -> None:
    row, looked_up = compare_runs(*groups)["score"]
    assert row.first == over_seeds(table(groups[0])) and row.second == over_seeds(table(groups[1]))
    assert row.difference == differs(*map(table, groups)) and row.difference is not None and row.difference.counts
    assert looked_up.first.value == 0.5, "clips without a motion are left out"
    text = describe_comparison(*groups)
    assert text.endswith(RULE) and "a0 and 2 more" in text and "b0 and 2 more" in text
    assert re.search(r"seen_pairs +generated +\d+ % \(.*\) +\d+ % \(.*\) +\+0\.\d+ \(.*\): counts", text), text
    assert re.search(r"seen_pairs +same actions +50 %.*no verdict", text), text


def test_with_other_clips_the_seeds_are_the_sample(tmp_path: Path, finished_run: Run) -> None:
    runs = [scored(tmp_path / f"c{seed}", finished_run, seed, 0.8, digest=f"clips {seed}") for seed in range(3)]
    row = compare_runs(runs)["score"][0]
    assert row.first == over_seeds(np.mean(table(runs), axis=1, keepdims=True)) and row.first.n == 3
    assert "the seeds are the sample. Intervals are 95 %" in describe_comparison(runs)


def test_one_run_has_the_interval_of_its_clips_and_no_verdict(groups: tuple[list[Path], list[Path]]) -> None:
    first, second = groups[0][:1], groups[1][:1]
    row = compare_runs(first)["score"][0]
    assert row.second is None and row.first.low < row.first.value < row.first.high
    assert "one run in a group: no verdict" in describe_comparison(first, second)


def test_runs_that_cannot_be_compared_are_named(
    groups: tuple[list[Path], list[Path]], tmp_path: Path, finished_run: Run
) -> None:
    with pytest.raises(InputError, match="found a0 twice"):
        compare_runs([groups[0][0], groups[0][0]])
    old = scored(tmp_path / "old", finished_run, 0, 0.8)
    metrics = Run.open(old).metrics
    for split in metrics["generation"].values():
        del split["per_clip"]
    write_record(old / "metrics.json", metrics)
    with pytest.raises(InputError, match=r"without the numbers of each clip.*motionlab evaluate --run .*old"):
        compare_runs([old, groups[0][0]])
    (old / "metrics.json").unlink()
    with pytest.raises(InputError, match="a run without scores"):
        compare_runs([old])
    apart = scored(tmp_path / "apart", finished_run, 0, 0.8)
    metrics = Run.open(apart).metrics
    metrics["generation"] = {"others": metrics["generation"]["seen_pairs"]}
    write_record(apart / "metrics.json", metrics)
    with pytest.raises(InputError, match="no test split in common"):
        compare_runs([apart, groups[0][0]])
