"""What `evaluate` measures without a judge: intervals over takes, and several motions of one caption."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch

from motionlab.data.composed.samples import load_samples
from motionlab.data.splits import Splits
from motionlab.evaluation.physics import physics_of
from motionlab.jobs import quality
from motionlab.jobs.quality import SplitMotions
from motionlab.jobs.report_scores import PHYSICS, physics_rows, text_motion_rows
from motionlab.jobs.run_folder import Run
from motionlab.motion.features import decode_positions


def test_real_motion_is_as_many_numbers_as_it_has_takes() -> None:
    """Clips of one recording say the same and do not make an interval narrower; generated ones are drawn alone."""
    samples = load_samples()[:3]
    features = [sample.motion.features for sample in samples for _ in range(4)]
    takes = [sample.name for sample in samples for _ in range(4)]
    some = SplitMotions(range(12), ["a person walks"] * 12, {"real": features, "generated": features})
    found = quality._physics(some, takes)
    value, low, high, count = found["real"]["jerk_mm"]
    alone, narrow, wide, clips = found["generated"]["jerk_mm"]
    assert value == alone and (count, clips) == (3, 12)
    assert high - low > 1.5 * (wide - narrow)
    plain = physics_of([decode_positions(one) for one in features], groups=takes, features=features)["jerk_mm"]
    assert (value, low, high) == pytest.approx((plain.value, plain.low, plain.high))


def test_takes_of_a_clip_are_those_of_its_segments(monkeypatch) -> None:
    monkeypatch.setattr(quality, "takes_in", lambda clips, i: {"walk", "kick"} if clips == "clips" and i else {"jump"})
    some = SplitMotions([0, 3], ["one", "two"], {})
    splits = cast(Splits, SimpleNamespace(tests={"seen": "clips"}))
    assert quality._takes(splits, "seen", some) == ["jump", "kick + walk"]


def test_motions_of_one_caption_have_draws_of_their_own(finished_run: Run) -> None:
    captions = ["a person walks", "a person kicks", "a person walks"]
    repeats = quality._repeats(finished_run, captions)
    assert [len(some) for some in repeats] == [quality._SAME_MOTIONS] * 2, "a caption counts once"
    for some in repeats:
        assert not any(torch.equal(some[0], other) for other in some[1:])


def test_the_report_of_a_run_has_both(finished_run: Run) -> None:
    metrics = finished_run.metrics
    for split, kinds in metrics["physics"].items():
        scores = metrics["text_motion"][split]
        assert kinds["generated"]["jerk_mm"][3] == metrics["generation"][split]["clips"]
        for way in ("unit", "raw"):
            value, low, high, count = scores[way]["multimodality"]["generated"]
            assert 0 < low < value < high and 1 < count <= quality._SAME_CAPTIONS
            assert set(scores[way]["diversity"]) == {"generated", "real"}


def test_only_a_reconstruction_drifts_from_a_real_path(finished_run: Run) -> None:
    for split, kinds in finished_run.metrics["physics"].items():
        for name in ("path_drift_mm", "heading_drift_deg"):
            assert kinds["reconstructed"][name][0] > 0
            assert name not in kinds["real"] and name not in kinds["generated"]
        rows = {row[0]: row[1:] for row in physics_rows(finished_run.metrics, split)}
        real, reconstructed, generated, ratio = rows[PHYSICS["path_drift_mm"]]
        assert (real, generated, ratio) == ("-", "-", "-") and reconstructed.split()[0] != "-"


def test_the_report_shows_scores_of_both_kinds_of_vectors(finished_run: Run) -> None:
    page = (finished_run.folder / "report.html").read_text("utf-8")
    for split in finished_run.metrics["text_motion"]:
        for way in ("unit", "raw"):
            for row in text_motion_rows(finished_run.metrics, split, way):
                assert all(cell in page for cell in row), (split, way, row[0])
    assert "of any length" in page
