"""Attention maps are those of the model, and influence is what replacing a word does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lessons.train_text_to_motion.attention_words import (
    DRAWS,
    END,
    START,
    Replacer,
    attention_maps,
    rank_correlation,
    word_attention,
    word_influence,
    word_slots,
    words_report,
)
from motionlab.config import load_config
from motionlab.data.composed.corpus import build_corpus
from motionlab.jobs.build import make_llama, make_tokenizer
from motionlab.jobs.prepare import fit_normalizer
from motionlab.jobs.run_folder import Run
from motionlab.llama.masks import prefix_mask
from motionlab.llama.model import Attention
from motionlab.llama.sequence import build_sequences
from motionlab.runtime import seeded

CAPTION = "a person cartwheels to the left"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose models are untrained; the decoder's weights are large, so that words matter."""
    config = load_config("ci", ["llama.n_layer=2", "llama.qk_norm=true", "corpus.n_train=24"])
    run = Run.create(tmp_path_factory.mktemp("run"), config)
    corpus = build_corpus(config.corpus)
    fit_normalizer(run, corpus)
    with seeded(0):
        tokenizer = make_tokenizer(config.tokenizer)
        llama = make_llama(config, codebook_size=tokenizer.codebook_size, text_dim=run.text.dim)
        for parameter in llama.parameters():
            parameter.data.normal_(std=0.2)
    run.save(tokenizer, "tokenizer-fsq")
    run.save(llama, "llama")
    return run


@pytest.fixture(scope="module")
def codes(run: Run) -> torch.Tensor:
    return torch.randint(run.llama.codebook_size, (9,), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_maps_give_what_the_layer_gives(run: Run, codes: torch.Tensor) -> None:
    """Mixing the values by the maps is the layer's own output: the maps are what its kernel used."""
    batch = build_sequences([codes, codes[:4]], run.text.features([CAPTION, "a man walks"]), run.llama.codebook_size)
    layers = [module for module in run.llama.modules() if isinstance(module, Attention)]
    inputs, outputs = [], []
    handles = [
        layer.register_forward_hook(lambda _, x, y: (inputs.append(x[0]), outputs.append(y))[0] and None)
        for layer in layers
    ]
    maps = attention_maps(run.llama, batch)
    for handle in handles:
        handle.remove()
    for layer, attention in enumerate(layers):
        heads, groups = attention.n_head, attention.n_kv_heads
        value = attention.c_attn(inputs[layer]).unflatten(-1, (heads + 2 * groups, attention.head_dim))[:, :, -groups:]
        value = value.repeat_interleave(heads // groups, dim=2)
        mixed = attention.c_proj(torch.einsum("bhij,bjhd->bihd", maps[layer], value).flatten(2))
        torch.testing.assert_close(mixed, outputs[layer], atol=1e-5, rtol=1e-4)
    seen = prefix_mask(batch.text_mask, batch.tokens.shape[1])  # [B, 1, S, S]
    assert maps[:, ~seen.expand(-1, maps.shape[2], -1, -1)].abs().max() == 0
    torch.testing.assert_close(maps.sum(-1), torch.ones_like(maps.sum(-1)))
    assert not any(layer._forward_pre_hooks for layer in layers), "the hooks are gone"


def test_words_share_the_attention_on_the_text(run: Run, codes: torch.Tensor) -> None:
    view = word_attention(run, CAPTION, codes)
    assert view.words == [START, *CAPTION.split(), END] and view.weights.shape == (9, 8)
    batch = build_sequences([codes], run.text.features([CAPTION]), run.llama.codebook_size)
    width = batch.text.shape[1]
    whole = attention_maps(run.llama, batch)[:, 0].mean((0, 1))[width : width + 9, :width].sum(1)
    torch.testing.assert_close(view.weights.sum(1), whole)
    both = torch.stack([word_attention(run, CAPTION, codes, layer).weights for layer in (0, 1)]).mean(0)
    torch.testing.assert_close(both, view.weights)


@pytest.mark.parametrize("caption", [CAPTION, "a man's side-step, then he sits.", "walk", "one  two   three"])
def test_every_slot_has_its_word(run: Run, caption: str) -> None:
    words, owner = word_slots(caption)
    assert words[1:-1] == caption.split() and owner == sorted(owner)
    assert sorted(set(owner)) == list(range(len(words))), "every word has at least one slot"
    assert len(owner) == run.text.token_counts([caption])[0]


def test_influence_is_the_loss_after_replacing(run: Run, codes: torch.Tensor) -> None:
    replacer = Replacer.of(run, build_corpus(run.config.corpus).seen_pairs)
    variants = replacer.variants(CAPTION, seed=1)
    words = CAPTION.split()
    assert len(variants) == DRAWS * len(words)
    for number, variant in enumerate(variants):
        changed = [i for i, (a, b) in enumerate(zip(words, variant.split(), strict=True)) if a != b]
        assert changed == [number // DRAWS], "one word, the one whose turn it is"
    influence = word_influence(run, CAPTION, codes, replacer, seed=1)

    def loss(caption: str) -> float:
        batch = build_sequences([codes], run.text.features([caption]), run.llama.codebook_size)
        logits = run.llama(batch.tokens, batch.text, batch.text_mask)
        return float(torch.nn.functional.cross_entropy(logits[0], batch.labels[0]))

    with torch.inference_mode():
        expected = [
            np.mean([loss(v) for v in variants[i * DRAWS :][:DRAWS]]) - loss(CAPTION) for i in range(len(words))
        ]
    assert influence.tolist() == pytest.approx(expected, abs=2e-3)  # features on disk are float16
    assert max(abs(value) for value in expected) > 1e-2


def test_the_report_covers_every_caption(run: Run) -> None:
    store = build_corpus(run.config.corpus).seen_pairs
    report = words_report(run, store, range(4), least=2)
    assert len(report.correlations) == 4 and all(-1 <= value <= 1 for value in report.correlations)
    assert 0 < report.on_marks < report.on_text < 1
    assert report.influence.keys() == report.attention.keys() and report.influence


def test_rank_correlation_is_spearmans() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = random.integers(0, 5, 12).astype(float), random.normal(size=12)
        ranks = [(v[:, None] > v).sum(1) + (v[:, None] == v).sum(1) / 2 for v in (a, b)]  # equal values share a rank
        assert rank_correlation(a, b) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0.0


def test_nothing_is_left_in_the_text_cache_on_disk(run: Run, codes: torch.Tensor, tmp_path: Path) -> None:
    known = len(run.text)
    replacer = Replacer.of(run, build_corpus(run.config.corpus).seen_pairs)
    word_influence(run, CAPTION, codes, replacer)
    assert len(run.text) == known
