"""The trial of the joint loss: a run is measured on all its tests, seeds are compared in pairs, the file is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lessons.train_text_to_motion.joint_loss import MEASURES, Point, differences, joint_rows, load_points, main
from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run
from motionlab.jobs.train_tokenizer import train_tokenizer


def _points(*weights: float, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Point]:
    def numbers(weight: float, seed: int) -> dict[str, float]:
        return {name: 10 * seed + weight + 0.1 * (seed == 2) for name in MEASURES}

    return [Point(weight, seed, {"seen_pairs": numbers(weight, seed)}) for weight in weights for seed in seeds]


def test_seeds_are_compared_in_pairs() -> None:
    points = _points(0.0, 2.5)
    assert differences(points, "seen_pairs", "mpjpe_mm") == pytest.approx([2.5, 2.5, 2.5])
    title, error, *_ = joint_rows(points, "seen_pairs")
    assert title == ("seen_pairs", "real", "weight 0", "weight 2.5", "difference")
    assert error[:4] == ("joint error (mm)", "0.0", "10.0", "12.5") and error[4].endswith("3 seeds): counts")


@pytest.mark.parametrize("points", [_points(0.0), _points(0.0, 1.0, 2.5), [*_points(0.0), *_points(2.5, seeds=(0,))]])
def test_other_weights_or_seeds_are_refused(points: list[Point]) -> None:
    with pytest.raises(InputError, match="same seeds of two weights"):
        differences(points, "seen_pairs", "mpjpe_mm")


def test_a_trained_run_is_measured(tmp_path: Path, private_cache: Path) -> None:
    config = load_config("ci", ["tokenizer.joint_weight=1", "tokenizer_training.seed=4"])
    run, splits = Run.create(tmp_path / "run", config), prepare(config)
    train_tokenizer(run, splits)
    main(tmp_path / "out.json", run.folder)
    (point,) = load_points(tmp_path / "out.json")
    assert (point.joint_weight, point.seed) == (1.0, 4) and set(point.splits) == set(splits.tests)
    for numbers in point.splits.values():
        assert {*numbers, "sliding"} == {*MEASURES, "real_sliding", "real_jerk_mm"}  # so untrained, it may float
        assert 0 < numbers["mpjpe_heading_mm"] <= numbers["mpjpe_mm"] and 0 < numbers["real_sliding"] <= 1


def test_the_file_of_results_is_whole(root: Path) -> None:
    points = load_points(root / "notebooks" / "results" / "joint_weight.json")
    assert [(point.joint_weight, point.seed) for point in points] == [(w, s) for w in (0.0, 2.5) for s in (0, 1, 2)]
    for point, other in zip(points[:3], points[3:], strict=True):  # the same clips for both weights
        for split, numbers in point.splits.items():
            assert numbers["real_sliding"] == other.splits[split]["real_sliding"]


def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"points": [{"seed": 1}]}))
    with pytest.raises(InputError, match="bad.json"):
        load_points(tmp_path / "bad.json")
