"""The table of scores: right columns in the right places, wrong captions mean something else, and faults are named."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from motionlab.errors import InputError
from motionlab.evaluation.intervals import Interval, bootstrap, wilson
from motionlab.evaluation.text_motion import protocol
from motionlab.evaluation.text_motion.meaning import meanings
from motionlab.evaluation.text_motion.protocol import other_meanings, score_texts_and_motions

CLIPS = 32


class Circle:
    """An evaluator of points: the embedding of a motion is its first root velocity, that of a caption its two words."""

    def embed_motion(self, motions):
        return torch.stack([torch.as_tensor(motion)[0, :2] for motion in motions])

    def embed_text(self, captions, texts=None):
        return torch.tensor([[float(word) for word in caption.split()] for caption in captions])


def plain_r_precision(text, motion, ks, *, batch, captions, groups, unit, seed):
    """Own motion against all motions of other meaning, one caption at a time."""
    text, motion = (torch.nn.functional.normalize(x, dim=1) if unit else x for x in (text, motion))
    ranks = []
    for i, point in enumerate(text):
        rivals = [j for j in range(len(text)) if captions[j] != captions[i]]
        ranks.append(sum(bool((point - motion[j]).norm() <= (point - motion[i]).norm()) for j in rivals))
    return {k: wilson(sum(rank < k for rank in ranks), len(ranks)) for k in ks}


def plain_distance(text, motion, *, groups, unit):
    text, motion = (torch.nn.functional.normalize(x, dim=1) if unit else x for x in (text, motion))
    return bootstrap((text - motion).norm(dim=1).numpy(), draws=20)


def marked(name):
    """A metric that says which sets it was given."""

    def metric(*sets, **options):
        return Interval(sum(float(one.mean()) for one in sets), 0.0, 0.0, len(sets[0]))

    return metric


@pytest.fixture
def plain(monkeypatch):
    """The metrics by their plainest formulas: the protocol is tested here, not they."""
    metrics = SimpleNamespace(
        r_precision=plain_r_precision,
        matching_distance=plain_distance,
        frechet_interval=marked("FID"),
        diversity=marked("diversity"),
        multimodality=marked("multimodality"),
    )
    for name, metric in vars(metrics).items():
        monkeypatch.setattr(protocol, name, metric)


def motion(x: float, y: float) -> torch.Tensor:
    features = torch.zeros(4, 272)
    features[0, :2] = torch.tensor([x, y])
    return features


@pytest.fixture
def points() -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, CLIPS, endpoint=False)
    return [(round(float(np.cos(a)), 3), round(float(np.sin(a)), 3)) for a in angles]


def value(score: Interval | None) -> float:
    assert score is not None
    return score.value


def captions_of(points) -> list[str]:
    return [f"{x} {y}" for x, y in points]


def test_columns_are_made_real_and_wrong(plain, points) -> None:
    real = [motion(*point) for point in points]
    made = [motion(3 * x, 3 * y) for x, y in points]  # in the right direction, at the wrong length
    scores = score_texts_and_motions(Circle(), made, captions_of(points), real)
    assert scores.clips == scores.meanings == CLIPS
    assert scores.unit["R@1"].motions.value == value(scores.unit["R@1"].real) == 1.0
    assert value(scores.unit["R@1"].wrong_captions) < 0.2
    assert value(scores.raw["MM distance"].real) == pytest.approx(0, abs=1e-6)
    assert scores.raw["MM distance"].motions.value == pytest.approx(2, abs=0.01)
    assert scores.unit["MM distance"].motions.value == pytest.approx(0, abs=0.01)
    assert value(scores.raw["MM distance"].wrong_captions) > scores.raw["MM distance"].motions.value
    assert set(scores.raw) == set(scores.unit) == {
        *(f"R@{k}{more}" for k in (1, 2, 3) for more in ("", " in 32")), "MM distance", "FID", "diversity"
    }  # fmt: skip


def test_clips_that_mean_the_same_are_no_rivals(plain, points) -> None:
    twins = [point for point in points[:16] for _ in range(2)]  # every caption twice
    real = [motion(*point) for point in twins]
    swapped = [real[i ^ 1] for i in range(CLIPS)]
    for groups in (None, [i // 2 for i in range(CLIPS)]):
        scores = score_texts_and_motions(Circle(), swapped, captions_of(twins), real, meanings=groups)
        assert scores.raw["R@1"].motions.value == 1.0 and scores.meanings == 16
    alone = score_texts_and_motions(Circle(), swapped, captions_of(twins), real, meanings=range(CLIPS))
    assert alone.raw["R@1"].motions.value == 0.0  # as the published programs count twins


def test_fid_is_measured_against_the_reference(plain, points) -> None:
    real, made = [motion(*point) for point in points], [motion(x + 1, y) for x, y in points]
    without = score_texts_and_motions(Circle(), made, captions_of(points), real)
    assert without.raw["FID"].real is None
    far = torch.full((5, 2), 10.0)
    for reference in (far, [motion(10, 10) for _ in range(5)]):
        scores = score_texts_and_motions(Circle(), made, captions_of(points), real, reference=reference)
        assert scores.raw["FID"].motions.value == pytest.approx(10.5, abs=1e-3)
        assert value(scores.raw["FID"].real) == pytest.approx(10.0, abs=1e-3)


def test_multimodality_needs_repeats(plain, points) -> None:
    real = [motion(*point) for point in points]
    repeats = [[motion(x, y), motion(x + 1, y)] for x, y in points[:3]]
    scores = score_texts_and_motions(Circle(), real, captions_of(points), real, repeats=repeats)
    assert scores.raw["multimodality"].motions.n == 3 and "multimodality" in scores.table()
    with pytest.raises(InputError, match="equally many"):
        score_texts_and_motions(Circle(), real, captions_of(points), real, repeats=[repeats[0], repeats[1][:1]])


def test_the_table_shows_every_score(plain, points) -> None:
    real = [motion(*point) for point in points]
    lines = score_texts_and_motions(Circle(), real, captions_of(points), real).table().splitlines()
    assert len(lines) == 10 and "wrong captions" in lines[0]
    assert lines[1].startswith("R@1 ") and "1.000 (0.893 to 1.000)" in lines[1]


def test_wrong_captions_mean_something_else() -> None:
    groups = np.array([0, 0, 0, 1, 2, 2])
    for seed in range(5):
        assert bool((groups[other_meanings(groups, seed)] != groups).all())
    assert other_meanings(groups, 1).tolist() == other_meanings(groups, 1).tolist()
    with pytest.raises(InputError, match="one meaning"):
        other_meanings(np.zeros(4))


@pytest.mark.parametrize("cut", ["motions", "captions", "real"])
def test_unequal_numbers_are_refused(points, cut: str) -> None:
    given: dict[str, Any] = {"motions": [motion(*p) for p in points], "captions": captions_of(points)}
    given["real"] = list(given["motions"])
    given[cut] = given[cut][:-1]
    with pytest.raises(InputError, match="one of each for every clip"):
        score_texts_and_motions(Circle(), **given)


@pytest.mark.skipif(
    importlib.util.find_spec("motionlab.evaluation.distribution") is None,
    reason="no metrics on embeddings here",
)
def test_a_trained_evaluator_tells_real_motions_from_wrong_ones(evaluator, texts, splits) -> None:
    clips = splits.tests["test"]
    real = [clips.features(i) for i in range(len(clips))]
    scores = score_texts_and_motions(
        evaluator,
        real[1:] + real[:1],  # of the next action
        [clips.captions(i)[0] for i in range(len(clips))],
        real,
        texts=texts,
        meanings=meanings(clips),
        reference=[splits.train.features(i) for i in range(len(splits.train))],
    )
    for way in (scores.raw, scores.unit):
        assert way["R@1"].real and way["MM distance"].real and way["FID"].real
        assert way["R@1"].real.low > way["R@1"].motions.high
        assert way["MM distance"].real.high < way["MM distance"].motions.low
        assert way["FID"].motions.value == pytest.approx(way["FID"].real.value, rel=1e-3)  # the same motions
