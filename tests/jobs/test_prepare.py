"""Captions are encoded before the work that needs them, some clips at a time, and a bad one is named by its clip."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.jobs import prepare as module
from motionlab.jobs.prepare import check_captions
from motionlab.text.cache import TextCache
from motionlab.text.encoder import TextFeatures, check_token_counts


class Words:
    """One token a word, all alike."""

    name, dim, max_tokens = "words", 4, 5

    def __init__(self) -> None:
        self.calls: list[int] = []

    def encode(self, captions: Sequence[str]) -> TextFeatures:
        counts = [len(caption.split()) for caption in captions]
        check_token_counts(captions, counts, self.max_tokens)
        self.calls.append(len(captions))
        return TextFeatures.from_rows([torch.ones(count, 4) for count in counts])


class Clips:
    """Clips that have captions and nothing else."""

    def __init__(self, some: list[list[str]]) -> None:
        self.some, self.captions = some, some.__getitem__

    def __len__(self) -> int:
        return len(self.some)


def splits_of(**captions: list[list[str]]) -> Any:
    return SimpleNamespace(
        named=lambda: {name: Clips(some) for name, some in captions.items()},
        clip_name=lambda name, i: f"split {name}, clip {i}",
        require_captions=lambda *names: None,
    )


def test_all_captions_of_the_named_splits_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CAPTIONS", 4)
    encoder = Words()
    text = TextCache(None, encoder)
    splits = splits_of(train=[[f"walks {i}", "walks"] for i in range(5)], validation=[["runs"]], test=[["sits"]])
    check_captions(SimpleNamespace(text=text), splits, "train", "validation")  # type: ignore[arg-type]
    assert sorted(text.captions()) == ["runs", "walks", *(f"walks {i}" for i in range(5))]
    assert encoder.calls == [3, 2, 2], "each caption once, four or more in memory at a time"


def test_a_caption_that_is_too_long_is_named_with_its_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = splits_of(train=[["walks"], ["runs"]], validation=[["sits"], ["jumps", "one two three four five six"]])
    text = TextCache(None, Words())
    for size in (1, 100):
        monkeypatch.setattr(module, "_CAPTIONS", size)
        with pytest.raises(InputError, match="^split validation, clip 1, caption 'one.*found 6 tokens"):
            check_captions(SimpleNamespace(text=text), splits, "train", "validation")  # type: ignore[arg-type]
