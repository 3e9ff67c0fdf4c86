"""Prepare: the composed corpus, the statistics of its training split, and which clips are kept for validation."""

from __future__ import annotations

from motionlab.config import CorpusConfig
from motionlab.data.corpus import Corpus, build_corpus
from motionlab.data.store import MotionStore
from motionlab.jobs.run_folder import Run
from motionlab.motion.normalizer import Normalizer

VALIDATION_EVERY = 20  # every 20th training clip is kept out: the test splits must not choose the best checkpoint


def prepare(config: CorpusConfig, processes: int = 1) -> Corpus:
    """Build the corpus, or open it when it was built before."""
    return build_corpus(config, processes=processes)


def fit_normalizer(run: Run, corpus: Corpus) -> Normalizer:
    """Measure mean and standard deviation on the training clips and keep them with the run."""
    path = run.folder / "normalizer.safetensors"
    if not path.exists():
        clips = training_clips(corpus.train)
        Normalizer.fit(corpus.train.features(i) for i in clips).save(path)
    return run.normalizer


def training_clips(store: MotionStore) -> list[int]:
    """The clips of a store that a model may learn from."""
    return [i for i in range(len(store)) if i % VALIDATION_EVERY != VALIDATION_EVERY - 1]


def validation_clips(store: MotionStore) -> list[int]:
    """The clips of a store that only choose the best checkpoint."""
    return [i for i in range(len(store)) if i % VALIDATION_EVERY == VALIDATION_EVERY - 1]
