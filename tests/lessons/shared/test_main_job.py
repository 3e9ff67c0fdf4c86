"""Lesson 00 shows the numbers of a finished run, and only of a finished one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lessons.shared.main_job import (
    difference_rows,
    judge_rows,
    keep,
    load_runs,
    quality_rows,
    score_rows,
    tokenizer_rows,
)
from motionlab.config import RunConfig
from motionlab.errors import InputError
from motionlab.jobs.run_folder import Run

SPLIT = {"mpjpe_mm": 38.24, "mpjpe_heading_mm": 30.0}
METRICS = {
    "environment": {"torch": "2"},
    "tokenizers": {
        "fsq": {
            "parameters": 9,
            "frames_per_token": 2,
            "tokens": 900,
            "used": 824,
            "perplexity": 500.0,
            "entropy_bits": 9.0,
            "dead": 176,
            "codebook_size": 1000,
            "used_fraction": 0.824,
            "errors": {"seen_pairs": SPLIT, "seen_pairs_one_take": SPLIT},
            "codes_of": "seen_pairs",
            "histogram": [1] * 1000,
        }
    },
    "generation": {
        "seen_pairs": {
            "exact": {
                "real": 1.0,
                "reconstructed": 0.95,
                "generated": 0.9,
                "other caption": 0.2,
                "nearest caption": 0.5,
                "cut and paste": 0.8,
            },
            "players": [{"caption": "walks", "files": {}}],
            "per_clip": {"score": {"generated": [0.9]}},
            "clips": 1,
            "stopped_by_limit": 0,
            "tokens_per_second": 90.0,
            "frames_real": 60.0,
            "frames_generated": 58.0,
        }
    },
    "secret": 1,
}


def test_numbers_are_kept_and_bulk_is_not(tmp_path: Path) -> None:
    folders = []
    for name, generated in (("one", 0.9), ("two", 0.7)):
        run = Run.create(tmp_path / name, RunConfig())
        metrics = json.loads(json.dumps(METRICS))
        metrics["generation"]["seen_pairs"]["exact"]["generated"] = generated
        run.record(**metrics)
        folders.append(run.folder)
    out = tmp_path / "out.json"
    keep(out, *folders)
    kept = load_runs(out)
    assert len(kept) == 2 and "histogram" not in kept[0]["tokenizers"]["fsq"] and "secret" not in kept[0]
    assert not {"players", "per_clip"} & set(kept[0]["generation"]["seen_pairs"])
    assert tokenizer_rows(out)[1][:4] == ("fsq", "1000", "82% (82% to 82%)", "38 (38 to 38)")
    assert ("generated", "80% (70% to 90%)") in score_rows(out)


def test_a_difference_is_taken_over_the_seeds_that_both_files_have(tmp_path: Path) -> None:
    def write(name: str, *exact: float) -> Path:
        splits = ("seen_pairs", "new_takes")
        runs = [{"generation": {key: {"exact": {"generated": x}} for key in splits}} for x in exact]
        path = tmp_path / name
        path.write_text(json.dumps({"runs": runs}))
        return path

    better, worse = write("better", 0.9, 0.92, 0.88, 0.9), write("worse", 0.3, 0.32, 0.28)
    title, row = difference_rows(better, worse, ("one", "two"))
    assert title == ("exactly right", "one", "two", "one - two")
    assert row[:3] == ("seen_pairs", "90%", "30%") and row[3].startswith("+0.600 (") and "3 seeds" in row[3]
    assert row[3].endswith("counts") and "no verdict" in difference_rows(worse, worse, ("a", "b"))[1][3]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RunConfig())
    with pytest.raises(InputError, match="finished run"):
        keep(tmp_path / "out.json", run.folder)
    assert not (tmp_path / "out.json").exists()


def test_the_committed_numbers_can_be_shown(root: Path) -> None:
    path = root / "notebooks" / "results" / "main_job.json"
    assert load_runs(path)
    assert {row[0] for row in tokenizer_rows(path)} == {"tokenizer", "fsq", "vq_ema"}
    for rows in (score_rows(path), score_rows(path, "score"), quality_rows(path), judge_rows(path)):
        assert len(rows) > 2 and len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", ["main_job_pooled", "main_job_averaged", "main_job_sentence_slot"])
def test_a_variant_was_scored_by_the_judges_of_the_main_job_on_its_clips(root: Path, name: str) -> None:
    folder = root / "notebooks" / "results"
    runs, main = load_runs(folder / f"{name}.json"), load_runs(folder / "main_job.json")[:3]
    assert len(runs) == len(main)
    for run, other in zip(runs, main, strict=True):
        assert run["corpus"] == other["corpus"]
        for split, scores in run["generation"].items():
            assert scores["made_from"] == other["generation"][split]["made_from"]
            assert scores["exact"]["real"] == other["generation"][split]["exact"]["real"]
