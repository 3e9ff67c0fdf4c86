"""A point that failed: the message names the point, the reason, and the key of the grid to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from motionlab.errors import InputError
from motionlab.jobs.ablations import tokenizer as job
from motionlab.jobs.ablations.failures import refuse_failed

USUAL = {"quantizer": "fsq", "seed": 0, "lr": 0.003, "width": 64}
NAN = InputError("training step 2", found="loss nan", expected="a finite number", fix="Lower lr.")


def message(failed: list[dict[str, Any]], trained: list[dict[str, Any]]) -> str:
    with pytest.raises(InputError) as caught:
        refuse_failed([(point, NAN) for point in failed], [*failed, *trained], USUAL.get)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_value_that_all_failed_points_have_and_no_trained_one_is_named() -> None:
    failed = [{"quantizer": name, "lr": 1.0, "width": 32} for name in ("fsq", "lfq")]
    text = message(failed, [{"quantizer": "fsq", "lr": 0.01, "width": 32}, {"quantizer": "fsq", "width": 64}])
    assert text.startswith("2 of 4 points failed; fsq lr=1.0 width=32: training step 2: found loss nan")
    assert "Change lr=1.0 in the grid: Lower lr." in text and "Finished points are kept" in text


def test_without_a_trained_point_the_unusual_values_are_named() -> None:
    assert "Change lr=1.0 or width=32 in the grid" in message([{"quantizer": "fsq", "lr": 1.0, "width": 32}], [])
    assert "Every key has its usual value" in message([{"quantizer": "fsq", "seed": 0}], [])


def test_no_failure_is_no_error() -> None:
    refuse_failed([], [{"quantizer": "fsq"}], USUAL.get)


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("lr=0.003,-1", "lr=-1", "expected a number, above 0"),
        ("quantizer=fsq,nope", "quantizer=nope", "expected fsq, ifsq"),
        ("down_t=1,9", "down_t=9", "expected a whole number, 0 to 3"),
    ],
)
def test_a_value_that_no_point_may_have_is_named_as_it_stands_in_the_grid(text: str, value: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        job.grid_points(job.parse_grid([text]))
    assert str(caught.value).startswith(f"grid: {value} (tokenizer") and words in str(caught.value)
    assert f"Change {value} in the grid" in caught.value.fix


def test_a_point_that_cannot_be_built_is_named_and_names_no_file_that_is_gone(tmp_path: Path) -> None:
    corpus = {
        "n_train": 24,
        "n_seen_pairs": 4,
        "n_unseen_pairs": 4,
        "n_new_takes": 2,
        "n_validation": 4,
        "max_frames": 120,
    }

    def run(*grid: str) -> str:
        with pytest.raises(InputError) as caught:
            job.ablate(tmp_path / "o.jsonl", job.parse_grid(grid), workers=1, corpus=corpus, say=lambda line: None)
        return str(caught.value)

    built = run("codebook_size=7", "steps=2", "warmup_steps=1")
    assert "codebook_size=7" in built and "expected for FSQ one of 64" in built
    assert "kept in" not in run("lr=1e30", "steps=2", "warmup_steps=1")
