"""Measures of many clips equal those of each clip alone; also for several codebooks."""

from __future__ import annotations

import pytest
import torch

from motionlab.config import CorpusConfig, TokenizerConfig
from motionlab.data.composed.corpus import Corpus, build_corpus
from motionlab.evaluation import tokenizer as measuring
from motionlab.evaluation.tokenizer import count_codes, measure_tokenizer, reconstruct, reconstructions
from motionlab.jobs.build import make_tokenizer
from motionlab.motion.normalizer import Normalizer
from motionlab.runtime import seed_everything
from motionlab.tokenizer.model import MotionTokenizer


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build_corpus(
        CorpusConfig(
            n_train=8, n_seen_pairs=4, n_unseen_pairs=1, n_new_takes=2, n_validation=4, max_frames=120, max_actions=2
        )
    )


@pytest.fixture(scope="module")
def normalizer(corpus: Corpus) -> Normalizer:
    return Normalizer.fit(corpus.train.features(i) for i in range(len(corpus.train)))


def make(quantizer: str) -> MotionTokenizer:
    seed_everything(0)
    config = TokenizerConfig(codebook_size=256, width=16, code_dim=8, depth=1, down_t=2)
    return make_tokenizer(config, quantizer).eval()


def test_reconstructions_are_those_of_each_clip_alone(
    corpus: Corpus, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "CLIPS_AT_ONCE", 3)  # to get several groups
    model, store = make("fsq"), corpus.seen_pairs
    found = list(reconstructions(model, store, normalizer))
    assert len(found) == len(store)
    for i, (pair, tokens) in enumerate(found):
        alone = model.encode(normalizer.normalize(store.features(i))[None])
        assert torch.equal(tokens, alone[0])
        assert torch.equal(pair.real, store.features(i))
        expected = reconstruct(model, normalizer, alone)[: len(pair.real)]
        assert torch.allclose(pair.restored, expected, atol=1e-4)
    (pair, _), *_ = reconstructions(model, store, normalizer, [2])
    assert torch.equal(pair.real, store.features(2))


def test_a_long_clip_counts_more_than_a_short_one(corpus: Corpus, normalizer: Normalizer) -> None:
    model, store = make("fsq"), corpus.seen_pairs
    errors, _ = measure_tokenizer(model, store, normalizer)
    each = [measure_tokenizer(model, store, normalizer, [i])[0]["mpjpe_mm"] for i in range(len(store))]
    frames = [int(n) for n in store.lengths]
    assert len(set(frames)) > 1
    weighted = sum(error * n for error, n in zip(each, frames, strict=True)) / sum(frames)
    assert errors["mpjpe_mm"] == pytest.approx(weighted, rel=1e-6)


def test_several_codebooks_are_measured(corpus: Corpus, normalizer: Normalizer) -> None:
    model = make("rfsq")
    errors, usage = measure_tokenizer(model, corpus.seen_pairs, normalizer)
    tokens = sum(model.token_count(int(frames)) for frames in corpus.seen_pairs.lengths)
    assert usage.summary().tokens == tokens and errors["mpjpe_mm"] > 0
    assert usage.summary().histogram.shape == (2, model.codebook_size)


def test_codes_of_the_first_batches_are_counted() -> None:
    model, asked = make("fsq"), []

    def batches(number: int) -> torch.Tensor:
        asked.append(number)
        return torch.randn(3, 16, 272, generator=torch.Generator().manual_seed(number))

    usage = count_codes(model, batches, 2)
    assert asked == [0, 1] and usage.summary().tokens == 2 * 3 * 16 // model.frames_per_token
