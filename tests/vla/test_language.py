"""Instructions as vectors: words, padding, frozen encoders that are asked once, local folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from motionlab.config import load_config
from motionlab.errors import InputError
from motionlab.jobs.run_folder import Run
from motionlab.jobs.stages.vla import VlaStage
from motionlab.jobs.train import train
from motionlab.jobs.vla.models import trained_policy
from motionlab.text.encoder import TextFeatures
from motionlab.text.words import Words
from motionlab.training.checkpoints.tensor_files import load_model_state
from motionlab.vla.backbone.saved import save_backbone
from motionlab.vla.backbone.tiny_vggt import TinyVGGT
from motionlab.vla.language import CachedLanguage, TinyLanguageEncoder, Vocabulary
from motionlab.vla.language_folder import HuggingFaceFolder
from motionlab.vla.table_lab.env import TASKS, TableLab

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
    with pytest.raises(InputError, match="instructions: found none"):
        Vocabulary.of([])


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


def model_folder(folder: Path, kind: str = "Llama") -> Path:
    """A tiny model with random weights, as transformers saves it, and a tokenizer of the words of the sentences.

    That of Qwen2 is one of pieces of bytes: transformers takes no other for it.
    """
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    words = Words.of([*SENTENCES, *TASKS])
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=320, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8,
    )  # fmt: skip
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    words.save(folder)
    if kind == "Qwen2":
        pieces = pytest.importorskip("tokenizers").ByteLevelBPETokenizer()
        pieces.train_from_iterator([*SENTENCES, *TASKS] * 3, vocab_size=310, show_progress=False)
        pieces.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3", "Mistral"])
def test_a_local_model(tmp_path: Path, kind: str) -> None:
    folder = HuggingFaceFolder(model_folder(tmp_path, kind))
    assert folder.name.startswith(kind.lower())
    language = CachedLanguage(folder.encode, folder.dim)
    features = language(SENTENCES)
    lengths = [11, 5, 1] if kind == "Qwen2" else [12, 6, 2]  # the words, and mostly an end mark
    assert folder.dim == 16 and features.mask.sum(1).tolist() == lengths
    torch.testing.assert_close(language([SENTENCES[1]]).states[0], features.states[1, : lengths[1]])
    with pytest.raises(InputError, match="1[12] tokens, expected at most 4"):
        HuggingFaceFolder(tmp_path, max_tokens=4).encode(SENTENCES)


def test_a_tokenizer_that_drops_every_word_is_refused(tmp_path: Path) -> None:
    """All sentences would be the same end mark. It was found with words in a folder of Qwen2."""
    folder = model_folder(tmp_path, "Qwen2")
    Words.of([*SENTENCES, *TASKS]).save(folder)
    with pytest.raises(InputError, match="no token for any of its words, expected a tokenizer that knows them"):
        HuggingFaceFolder(folder).encode(SENTENCES)


def test_a_run_reads_its_sentences_through_a_local_model(tmp_path: Path, private_cache: Path) -> None:
    """Its words are not those of the training alone, and the policy's file does not hold the model."""
    pytest.importorskip("h5py")
    save_backbone(tmp_path / "backbone.safetensors", TinyVGGT(image_size=16, dim=16, depth=1, heads=2, patch=8))
    texts = [
        "vla.language=folder", f"vla.language_folder={model_folder(tmp_path / 'qwen', 'Qwen2')}",
        f"vla.backbone_path={tmp_path / 'backbone.safetensors'}", "vla.image_size=16", "vla_data.per_task=2",
        "vla_data.validation_share=0.5", "vla_training.steps=4",
    ]  # fmt: skip
    run = Run.create(tmp_path / "run", load_config("vla_ci", texts))
    stage = VlaStage(run, VlaStage.prepare(run))
    train(stage)
    assert not [name for name in load_model_state(run.folder / "vla" / "model.safetensors")[0] if "language" in name]
    policy, seen = trained_policy(run), TableLab(16).reset(0, 0)
    said = [policy.act(seen.images, sentence, seen.state()) for sentence in (TASKS[0], TASKS[1], "wait")]
    assert said[0].shape == (1, 7) and all((a != b).any() for a, b in pairwise(said))


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="config.json"):
        HuggingFaceFolder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "hidden_size": 8}))
    with pytest.raises(InputError, match="model_type"):
        HuggingFaceFolder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": 8}))
    with pytest.raises(InputError, match="a complete model folder"):
        HuggingFaceFolder(tmp_path).encode(SENTENCES)


def test_rows_that_share_a_sentence_add_up_in_one_order(encoder: TinyLanguageEncoder) -> None:
    """`states[rows]` would have `IndexBackward0`, which threads that share the work add up in any order.

    With two threads 64 rows of three sentences gave up to 64 different gradients in 300 calls.
    """
    features = encoder([SENTENCES[i % 3] for i in range(6)])
    assert features.states.grad_fn is not None and features.states.grad_fn.name() == "IndexSelectBackward0"
