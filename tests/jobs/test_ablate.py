"""The ablation of lesson 03, with a corpus of a few clips and two steps a point."""

from __future__ import annotations

from pathlib import Path

import pytest

from motionlab.config import RunConfig
from motionlab.data.corpus import Corpus, build_corpus
from motionlab.errors import InputError
from motionlab.jobs import ablate as job
from motionlab.quantizers.vq import VQEMA

TINY = {
    "corpus": {"n_train": 12, "n_test_seen": 2, "n_test_unseen": 2},
    "tokenizer": {"width": 16, "code_dim": 8},
    "tokenizer_training": {"steps": 2, "batch_size": 4, "warmup_steps": 1},
}


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return job.ablation_config(TINY)


@pytest.fixture(scope="module")
def corpus(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "USAGE_BATCHES", 2)
        return build_corpus(config.corpus, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "USAGE_BATCHES", 2)


def test_only_the_quantizer_differs(config: RunConfig, corpus: Corpus) -> None:
    models = {kind: job.train_point(kind, 64, 0, config=config, corpus=corpus)[1] for kind in job.KINDS}
    assert len({model.codebook_size for model in models.values()}) == 1
    shapes = [
        [(name, tuple(p.shape)) for name, p in model.named_parameters() if not name.startswith("quantizer")]
        for model in models.values()
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    rescue = [model.quantizer.reset for model in models.values() if isinstance(model.quantizer, VQEMA)]
    assert rescue == [True, False]


def test_the_same_point_gives_the_same_numbers(config: RunConfig, corpus: Corpus) -> None:
    first, _, usage = job.train_point("vq_ema", 64, 1, config=config, corpus=corpus)
    again, _, _ = job.train_point("vq_ema", 64, 1, config=config, corpus=corpus)
    assert first == again and first.steps == 2 and first.lr == job.RATE
    assert first.tokens == usage.tokens == 2 * 4 * 16  # two batches of four windows of 64 frames, 4 frames a token
    assert job.train_point("vq_ema", 64, 2, config=config, corpus=corpus)[0] != first


def test_a_stopped_ablation_goes_on(
    config: RunConfig, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trained = tmp_path / "out.json", []
    original = job.train_point
    monkeypatch.setattr(job, "build_corpus", lambda settings: corpus)
    monkeypatch.setattr(job, "train_point", lambda *key, **rest: (trained.append(key), original(*key, **rest))[1])
    keys = job.grid(["fsq"], [64], [0, 1])
    job.ablate(out, keys[:1], config)
    points = job.ablate(out, keys, config)
    assert trained == keys and job.load_points(out) == points
    with pytest.raises(InputError, match="other settings"):
        job.ablate(out, keys, job.ablation_config({**TINY, "tokenizer": {"width": 24, "code_dim": 8}}))


def test_the_grid_visits_whole_seeds_first() -> None:
    keys = job.grid()
    assert len(keys) == len(set(keys)) == 3 * 3 * 6
    assert [seed for _, _, seed, _ in keys] == sorted(seed for _, _, seed, _ in keys)


def test_bad_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fsqq"):
        job.make_ablation_quantizer("fsqq", 256, 8)
    (tmp_path / "broken.json").write_text('{"points": [{"quantizer": "fsq"}]}')
    for name in ("broken.json", "missing.json"):
        with pytest.raises(InputError, match="motionlab.jobs.ablate"):
            job.load_points(tmp_path / name)
    with pytest.raises(InputError, match="none"):
        job.mean([], "used", "fsq", 256)


def test_the_committed_results_are_complete(root: Path) -> None:
    points = job.load_points(root / "notebooks" / "results" / "fsq_vs_vq.json")
    assert {(p.quantizer, p.nominal, p.seed, p.lr) for p in points} == set(job.grid())
