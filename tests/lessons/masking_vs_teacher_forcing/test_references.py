"""The baselines of lesson 08 are those of its judge and its clips, or there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lessons.masking_vs_teacher_forcing.references import KINDS, reference_scores
from motionlab.errors import InputError

FILES = ("strategies.jsonl", "main_job_two_frames.json")


def test_real_motions_score_as_in_the_file_of_the_strategies(root: Path) -> None:
    strategies, main_job = (root / "notebooks" / "results" / name for name in FILES)
    known = json.loads(strategies.read_text(encoding="utf-8").splitlines()[0])["reference"]
    scores, exact = (reference_scores(strategies, main_job, measure) for measure in ("score", "exact"))
    assert set(scores) == set(exact) == set(KINDS)
    assert scores["real"] == pytest.approx((known["real_seen"], known["real_unseen"]), abs=1e-4)
    assert all(exact[kind][at] <= scores[kind][at] for kind in KINDS for at in (0, 1))


def test_another_judge_is_refused(root: Path, tmp_path: Path) -> None:
    strategies, main_job = (root / "notebooks" / "results" / name for name in FILES)
    runs = json.loads(main_job.read_text(encoding="utf-8"))["runs"]
    (tmp_path / "other.json").write_text(json.dumps({"runs": runs[1:]}))
    with pytest.raises(InputError, match="judge of the strategies"):
        reference_scores(strategies, tmp_path / "other.json")
