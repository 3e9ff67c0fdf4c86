"""The bench of lesson 13: real clips with their captions, a judge and an evaluator, for the panel to spoil."""

from __future__ import annotations

import torch

from motionlab.config import load_config
from motionlab.data.composed.corpus import Corpus
from motionlab.evaluation.action_lists import wanted_actions
from motionlab.evaluation.actions import ActionClassifier
from motionlab.evaluation.text_motion.evaluator import TextMotionEvaluator
from motionlab.jobs.build import text_cache as cache_of
from motionlab.text.cache import TextCache
from motionlab.views.metric_reactions import Bench

REFERENCE = 160  # training clips that FID compares with


def text_cache() -> TextCache:
    """Caption features, from the cache folder."""
    return cache_of(load_config("ci").text)


@torch.inference_mode()
def make_bench(corpus: Corpus, judge: ActionClassifier, evaluator: TextMotionEvaluator, texts: TextCache) -> Bench:
    """All clips of pairs that training has seen; FID compares with training clips."""
    stores = [corpus.seen_pairs, corpus.tests["seen_pairs_one_take"]]
    places = [(store, i) for store in stores for i in range(len(store))]
    captions = [store.captions(i)[0] for store, i in places]
    known = [corpus.train.features(i) for i in range(min(REFERENCE, len(corpus.train)))]
    return Bench(
        clips=[store.features(i) for store, i in places],
        wanted=[wanted_actions(store.segments(i)) for store, i in places],
        recognise=judge.recognise,
        embed=evaluator.embed_motion,
        text=evaluator.embed_text(captions, texts),
        reference=evaluator.embed_motion(known),
    )
