"""The tables of lesson 03 and its appendix, from rows that are made up here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lessons.fsq_vs_vq_vae import experiment
from lessons.fsq_vs_vq_vae.experiment import Results
from motionlab.errors import InputError
from motionlab.jobs.ablations.results import Row
from motionlab.jobs.ablations.tokenizer_point import Result

NUMBERS = Result(70.0, 180.0, 5.0, 240, 1, 2.5, 2.1, 20480, 200, 0.8, 150.0, 30.0)


def row(kind: str, size: int, seed: int, error: float, **point: Any) -> Row:
    chosen = {"quantizer": kind, "codebook_size": size, "seed": seed, **point}
    return Row(chosen, replace(NUMBERS, mpjpe_heading_mm=error))


@pytest.fixture
def results() -> Results:
    """FSQ at two sizes, VQ at the smaller one, two seeds; and FSQ with another learning rate."""
    rows = [row("fsq", size, seed, size / 8 + seed) for seed in (0, 1) for size in (256, 512)]
    rows += [row("vq_ema", 256, seed, 20.0 + seed) for seed in (0, 1)]
    return Results([*rows, row("fsq", 256, 0, 999.0, lr=0.01)])


def test_numbers_of_the_seeds_are_those_of_the_usual_trainings(results: Results) -> None:
    assert results.sizes == [256, 512] and results.codes(256) == 240
    assert results.each("fsq", 256) == [32.0, 33.0]  # not 999, which had another learning rate
    assert results.each("fsq", 512, "used") == [200, 200]
    assert results.each("vq_ema", 512) == []


def test_a_mean_over_sizes_is_one_number_a_seed(results: Results) -> None:
    assert results.everywhere("fsq") == [48.0, 49.0]
    assert results.everywhere("fsq", sizes=[512]) == [64.0, 65.0]
    assert results.everywhere("vq_ema") == [20.0, 21.0]  # only the size at which it was trained


def lines(table: Any) -> list[list[str]]:
    """The cells of each line; between two of them there are at least two spaces."""
    return [re.split(r" {2,}", line.strip()) for line in repr(table).splitlines()]


def test_tables_show_means_and_leave_out_what_was_not_trained(results: Results) -> None:
    shown = lines(experiment.use_of_codes(results, 256, ("fsq", "vq_ema")))
    assert shown[1:] == [["fsq", "240", "200", "150", "32.5"], ["vq_ema", "240", "200", "150", "20.5"]]
    shown = lines(experiment.use_by_size(results, ("fsq", "vq_ema")))
    assert [len(line) for line in shown] == [3, 3, 2] and shown[1][1] == "80% / 150"


def test_a_table_of_seeds_says_whether_the_means_differ(results: Results) -> None:
    rows = [row("vq_ema", 512, seed, 64.5 - 2 * seed) for seed in (0, 1)]
    text = repr(experiment.seed_by_seed(Results([*results.rows, *rows]), "fsq", "vq_ema"))
    first, second = text.splitlines()[1:]
    assert "32.0 33.0" in first and "20.0 21.0" in first and first.rstrip().endswith("counts")
    assert "64.0 65.0" in second and second.rstrip().endswith("no verdict")


def test_every_quantizer_of_a_size_has_a_line(results: Results) -> None:
    shown = lines(experiment.all_at(results, 256))
    assert [line[0] for line in shown[1:]] == ["fsq", "vq_ema"]
    assert shown[2][1:] == ["1 x 240", "2.50", "2.10", "80%", "150", "20.5", "5.0"]


def test_learning_rates_stand_below_each_other(results: Results) -> None:
    text = repr(experiment.by_learning_rate(results, "fsq", 256, (3e-3, 1e-2)))
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["0.003", "0.01"]
    assert "32.0 33.0" in text and "999.0" in text


def test_the_kept_results_are_read_in_the_order_of_the_seeds(root: Path, tmp_path: Path) -> None:
    results = experiment.load(root / "notebooks" / experiment.FILE)
    assert [results.codes(size) for size in results.sizes] == [240, 1000, 4375, 15360, 64000]
    assert [row["seed"] for row in results.rows] == sorted(row["seed"] for row in results.rows)
    assert len(results.each("fsq", 1024)) == 3 and results.each("vq_ema_no_reset", 65536) == []
    with pytest.raises(InputError, match=r"nothing\.jsonl"):
        experiment.load(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(("codes", "tokens", "alive"), [(50, 500, 50), (500, 50, 0)])
def test_a_rescue_rule_of_one_hit_a_batch_needs_more_tokens_than_codes(codes: int, tokens: int, alive: int) -> None:
    torch.manual_seed(0)
    found, counts = experiment.alive_by_published_rule(codes, tokens, batches=600)
    assert found == alive and counts.shape == (codes,)
    assert float(counts.sum()) == pytest.approx(tokens, rel=0.05)  # 0.99 ** 600 of the start is left


def test_the_errors_of_a_mean_pose_are_means_over_frames() -> None:
    """The mean pose has one wrist 0.1 m off in the second clip, and stands still as the real motion does."""
    wrist = torch.zeros(272)
    wrist[8 + 3 * 21 + 1] = 0.1  # the height of the last of 22 joints
    corpus = SimpleNamespace(seen_pairs=_Clips([wrist.expand(10, 272), torch.zeros(40, 272)]))
    normalizer = SimpleNamespace(denormalize=lambda x: torch.zeros_like(x) + wrist)
    place, shaking = experiment.mean_pose_errors(corpus, normalizer)  # type: ignore[arg-type]
    assert place == pytest.approx(100 / 22 * 40 / 50, rel=1e-4) and shaking == pytest.approx(0.0, abs=1e-3)


class _Clips:
    def __init__(self, clips: list[torch.Tensor]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def features(self, i: int) -> torch.Tensor:
        return self.clips[i]
