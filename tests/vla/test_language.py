"""Instructions as vectors: words, padding, frozen encoders that are asked once, local folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from motionlab.errors import InputError
from motionlab.text.encoder import TextFeatures
from motionlab.text.words import Words
from motionlab.vla.language import CachedLanguage, TinyLanguageEncoder, Vocabulary
from motionlab.vla.language_folder import HuggingFaceFolder

SENTENCES = ["pick up the red cube and place it on the plate", "pick up the blue cube", "wait"]


@pytest.fixture
def encoder() -> TinyLanguageEncoder:
    torch.manual_seed(0)
    return TinyLanguageEncoder(Vocabulary.of(SENTENCES), dim=16, n_layer=2, n_head=2)


def test_an_unknown_word_is_named() -> None:
    words = Vocabulary.of(SENTENCES)
    assert len(words) == len({word for sentence in SENTENCES for word in sentence.split()}) + 1
    assert words.encode("Pick up the BLUE cube") == words.encode(SENTENCES[1])
    with pytest.raises(InputError, match="pick up the purple cube.*unknown word 'purple'.*blue, cube"):
        words.encode("pick up the purple cube")
    with pytest.raises(InputError, match="a sentence"):
        words.encode("  ")
    with pytest.raises(InputError, match="70 words, expected at most 64"):
        words.encode("red " * 70)
    with pytest.raises(InputError, match="one string"):
        Vocabulary.of("pick up")


def test_order_and_padding_change_nothing(encoder: TinyLanguageEncoder) -> None:
    """A sentence has the same features next to any other, and real words do not see padding."""
    features = encoder([SENTENCES[1], SENTENCES[0], SENTENCES[1]])
    assert features.mask.sum(1).tolist() == [5, 11, 5]
    alone = encoder([SENTENCES[1]])
    torch.testing.assert_close(features.states[0, :5], alone.states[0], atol=1e-5, rtol=0)
    assert torch.equal(features.states[0], features.states[2]) and not features.states[0, 5:].any()
    assert not torch.allclose(features.states[1, 3], features.states[0, 3])  # red, and blue
    # both directions: the first word knows the fourth
    assert not torch.allclose(features.states[1, 0], features.states[0, 0], atol=1e-4)


def test_repeated_sentences_get_the_gradient_of_all_their_rows(encoder: TinyLanguageEncoder) -> None:
    weights = torch.randn(4, 11, 16)
    batch = [SENTENCES[0], SENTENCES[1], SENTENCES[0], SENTENCES[2]]
    (encoder(batch).states * weights).sum().backward()
    together = encoder.embedding.weight.grad
    encoder.zero_grad()
    for row, sentence in enumerate(batch):
        states = encoder([sentence]).states
        (states * weights[row : row + 1, : states.shape[1]]).sum().backward()
    assert together is not None and encoder.embedding.weight.grad is not None
    torch.testing.assert_close(together, encoder.embedding.weight.grad, atol=1e-5, rtol=1e-4)


def test_a_frozen_encoder_is_asked_once_for_each_sentence(encoder: TinyLanguageEncoder) -> None:
    asked: list[str] = []

    def encode(sentences: Sequence[str]) -> TextFeatures:
        asked.extend(sentences)
        return encoder.encode(sentences)

    cached = CachedLanguage(encode, dim=16)
    first = cached([SENTENCES[1], SENTENCES[0], SENTENCES[1]])
    second = cached([SENTENCES[0], SENTENCES[2]])
    assert asked == [SENTENCES[1], SENTENCES[0], SENTENCES[2]] and len(cached) == 3
    torch.testing.assert_close(first.states[0, :5], encoder([SENTENCES[1]]).states[0], atol=1e-5, rtol=0)
    assert torch.equal(first.mask[1], second.mask[0]) and not first.states.requires_grad
    assert list(cached.parameters()) == [] and cached.state_dict() == {}
    with pytest.raises(InputError, match="features of 16 numbers, expected 8"):
        CachedLanguage(encode, dim=8)(SENTENCES)


def llama_folder(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    words = Words.of(SENTENCES)
    config = transformers.LlamaConfig(
        vocab_size=words.size, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2,
    )  # fmt: skip
    transformers.LlamaModel(config).save_pretrained(folder)
    words.save(folder)
    return folder


def test_a_local_llama(tmp_path: Path) -> None:
    folder = HuggingFaceFolder(llama_folder(tmp_path))
    language = CachedLanguage(folder.encode, folder.dim)
    features = language(SENTENCES)
    assert folder.dim == 16 and features.mask.sum(1).tolist() == [12, 6, 2]  # the words and an end mark
    torch.testing.assert_close(language([SENTENCES[1]]).states[0], features.states[1, :6])
    with pytest.raises(InputError, match="12 tokens, expected at most 4"):
        HuggingFaceFolder(tmp_path, max_tokens=4).encode(SENTENCES)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="config.json"):
        HuggingFaceFolder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "hidden_size": 8}))
    with pytest.raises(InputError, match="model_type"):
        HuggingFaceFolder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8}))
    with pytest.raises(InputError, match="a complete model folder"):
        HuggingFaceFolder(tmp_path).encode(SENTENCES)
