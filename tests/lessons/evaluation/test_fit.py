"""The experiment of lesson 13: small, and the kept file carries what the lesson says."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessons.evaluation.fit import LOOKS, SEEDS, TAKES, clips_of, load_curves, train
from motionlab.config import load_config
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.data.leaks import takes_in


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build_corpus(load_config("ci", ["corpus.n_train=120", "corpus.max_actions=2"]).corpus)


def test_clips_are_made_from_the_chosen_takes_alone(corpus: Corpus) -> None:
    few, all_of_them = clips_of(corpus, 8, seed=1), clips_of(corpus, 24, seed=1)
    assert len(all_of_them) == len(corpus.train) and 0 < len(few) < len(all_of_them)
    takes = set().union(*(takes_in(corpus.train, int(i)) for i in few.numbers))
    assert len(takes) <= 8
    first = few.windows([0], [0], 20)
    assert first.shape == (1, 20, 272) and few.features(0)[10].equal(first[0, 10])


def test_a_training_is_repeatable_and_learns_what_it_sees(corpus: Corpus) -> None:
    first, again = (train(12, 0, looks=(1, 30), corpus=corpus) for _ in range(2))
    assert first == again
    assert first.known[1] < first.known[0]


def test_the_committed_file_carries_what_the_lesson_says(root: Path) -> None:
    curves = load_curves(root / "notebooks" / "results" / "fit.json")
    assert sorted((curve.takes, curve.seed) for curve in curves) == [(t, s) for t in TAKES for s in SEEDS]
    assert all(tuple(curve.steps) == LOOKS for curve in curves)
    assert {curve.clips for curve in curves if curve.takes == 24} == {2400}
