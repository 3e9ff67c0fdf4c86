"""benchmarks/two_builds.py: one judge for the motions of both builds, and the rule for tables on what it finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from motionlab.data.composed.samples import load_samples


@pytest.fixture(scope="module")
def bench(load_benchmark: Callable[[str], ModuleType]) -> ModuleType:
    return load_benchmark("two_builds")


class FakeBuild:
    """A build with given motions, whatever it is asked."""

    seed = 1

    def __init__(self, run: Path, motions: list[Tensor]) -> None:
        self.run, self.made, self.trained = run, motions, 0

    def train(self) -> dict[str, float]:
        self.trained += 1
        return {"processor": 10.0, "clock": 5.0}

    def questions(self) -> Path:
        path = self.run / "questions.json"
        path.write_text(json.dumps({"seen": [{"caption": "a person walks", "actions": ["walk"]}] * len(self.made)}))
        return path

    def motions(self, asked: Path, name: str) -> dict[str, list[Tensor]]:
        return {"seen": self.made}


def test_both_are_asked_the_questions_of_both_by_one_judge(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge that takes the place of a trained one says "walk" of the motion as it was recorded, and of no other."""
    motion = load_samples()[0].motion.features[:40]

    def recognise(features: Tensor) -> list[str]:
        return ["walk"] if torch.equal(features, motion) else ["kick"]

    judge = SimpleNamespace(classifier=SimpleNamespace(recognise=recognise))
    monkeypatch.setattr(bench.Judge, "load", lambda path: judge)
    older, newer = FakeBuild(tmp_path, [motion, *[motion + 0.01] * 3]), FakeBuild(tmp_path, [motion] * 4)
    row = bench.one_seed({"older": older, "newer": newer})
    assert older.trained == newer.trained == 1
    for whose in bench.BUILDS:
        exact = {name: row["captions of"][whose][name]["seen"]["exact"] for name in bench.BUILDS}
        assert exact == {"older": 0.25, "newer": 1.0}
    assert row["captions of"]["older"]["newer"]["seen"]["clips"] == 4


def test_the_summary_has_ratios_means_and_verdicts(bench: ModuleType) -> None:
    def seed(older: float, newer: float, cost: float) -> dict[str, Any]:
        one = {name: {"seen": {"exact": value, "clips": 64}} for name, value in (("older", older), ("newer", newer))}
        costs = {"older": {"processor": 100.0}, "newer": {"processor": cost}}
        return {"cost": costs, "captions of": {"older": one, "newer": one}}

    found = bench.summary({"0": seed(0.2, 0.8, 50.0), "1": seed(0.25, 0.8, 60.0), "2": seed(0.2, 0.85, 40.0)})
    assert found["processor time, newer over older"] == [0.5, 0.6, 0.4]
    line = found["exactly right"]["captions of the newer: seen"]
    assert (line["older"], line["newer"]) == (0.217, 0.817) and line["newer - older"].startswith("+0.6")


def test_without_an_older_build_there_is_nothing_to_do(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main(["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "out.json")])
    assert "older version" in capsys.readouterr().out and not list(tmp_path.iterdir())
