"""Splits of the small source, and an evaluator that was trained on them."""

from __future__ import annotations

import pytest

from motionlab.data.splits import Splits
from motionlab.evaluation.text_motion.evaluator import TextMotionEvaluator
from motionlab.evaluation.text_motion.train import train_evaluator
from motionlab.text.cache import TextCache
from tests.evaluation.text_motion.cuts import COUNTS, SMALL, WordEncoder, cuts


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("cuts")
    parts = {name: cuts(folder / name, count, seed) for seed, (name, count) in enumerate(COUNTS.items())}
    return Splits("cuts", parts["train"], parts["validation"], {"test": parts["test"]})


@pytest.fixture(scope="session")
def texts() -> TextCache:
    return TextCache(None, WordEncoder())


@pytest.fixture(scope="session")
def evaluator(splits: Splits, texts: TextCache) -> TextMotionEvaluator:
    return train_evaluator(splits, texts, SMALL, seed=3)
