"""A fake encoder that counts its work, and a tiny T5 with random weights (untrained: for tests only)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from motionlab.runtime import seeded
from motionlab.text.encoder import TextFeatures, check_captions


class FakeEncoder:
    """One token per word; the features of a word depend on its letters only."""

    max_tokens = 10

    def __init__(self, name: str = "fake/1", dim: int = 4) -> None:
        self.name, self.dim = name, dim
        self.encoded: list[str] = []

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        check_captions(captions)
        self.encoded += captions
        words = [[torch.full((self.dim,), sum(map(ord, word)) / 256) for word in text.split()] for text in captions]
        return TextFeatures.from_rows([torch.stack(rows) for rows in words])


@pytest.fixture
def fake() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def other_fake() -> FakeEncoder:
    """Another encoder, of another width."""
    return FakeEncoder("fake/2", dim=5)


@pytest.fixture(scope="session")
def byt5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ByT5 of 20 thousand random numbers: reads bytes, needs no vocabulary file."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models") / "tiny-byt5"
    config = transformers.T5Config(
        vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu"
    )
    with seeded(0):
        transformers.T5EncoderModel(config).save_pretrained(folder)
    transformers.ByT5Tokenizer().save_pretrained(folder)
    return folder
