"""Lesson 00 shows the numbers of a finished run, and only of a finished one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lessons.shared.main_job import keep, score_rows, tokenizer_rows
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
            "errors": {"seen_pairs": SPLIT},
            "codes_of": "seen_pairs",
            "histogram": [1] * 1000,
        }
    },
    "generation": {
        "seen_pairs": {
            "score": {"real": 1.0, "reconstructed": 0.95, "generated": 0.9, "other caption": 0.2},
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
    run = Run.create(tmp_path / "run", RunConfig())
    run.record(**METRICS)
    keep(run.folder, tmp_path / "out.json")
    kept = json.loads((tmp_path / "out.json").read_text())
    assert "histogram" not in kept["tokenizers"]["fsq"]
    assert not {"players", "per_clip"} & set(kept["generation"]["seen_pairs"])
    assert "secret" not in kept
    assert tokenizer_rows(tmp_path / "out.json")[1] == ("fsq", "1000", "82%", "38.2", "30.0")
    assert score_rows(tmp_path / "out.json")[1] == ("seen_pairs", "100%", "95%", "90%", "20%")


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RunConfig())
    with pytest.raises(InputError, match="finished run"):
        keep(run.folder, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_the_committed_numbers_can_be_shown(root: Path) -> None:
    path = root / "notebooks" / "results" / "main_job.json"
    assert [row[0] for row in tokenizer_rows(path)][:2] == ["tokenizer", "fsq"]
    splits = json.loads(path.read_text(encoding="utf-8"))["generation"]
    assert len(splits) >= 2 and [row[0] for row in score_rows(path)] == ["split", *splits]
