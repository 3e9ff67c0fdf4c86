"""The features of a caption are the same bits, whichever captions it was encoded with."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest
import torch

from motionlab.text.encoder import TextEncoder
from motionlab.text.minilm import PACKAGE, MiniLM
from motionlab.text.small_t5 import SmallT5
from motionlab.text.t5 import T5Folder
from motionlab.text.words import Words

VERBS = ("walks", "runs and jumps", "kicks", "turns left", "waves both hands", "sits down on a chair")
CAPTIONS = [f"{who} {verb}{how}" for who in ("a person", "he") for verb in VERBS for how in ("", " slowly", " twice")]


@pytest.fixture(params=["minilm", "minilm pooled", "t5", "t5 pooled", "small t5"])
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    pytest.importorskip("transformers")
    pooled = request.param.endswith("pooled")
    if request.param.startswith("minilm"):
        if importlib.util.find_spec(PACKAGE) is None:  # importing it would want sentence-transformers
            pytest.skip("no MiniLM")
        return MiniLM(pooled=pooled)
    if request.param == "small t5":
        return SmallT5(Words.of(CAPTIONS))
    folder: Path = request.getfixturevalue("byt5_folder")
    return T5Folder(folder, pooled=pooled)


def rows(encoder: TextEncoder, captions: list[str]) -> dict[str, torch.Tensor]:
    features = encoder.encode(captions)
    return {
        caption: states[mask] for caption, states, mask in zip(captions, features.states, features.mask, strict=True)
    }


def test_alone_in_pairs_and_shuffled(encoder: TextEncoder) -> None:
    together = rows(encoder, CAPTIONS)
    shuffled = random.Random(0).sample(CAPTIONS, len(CAPTIONS))
    others = [
        rows(encoder, shuffled),
        rows(encoder, CAPTIONS[::3]),
        rows(encoder, [*CAPTIONS, "a person walks " * 8]),
    ]
    others += [rows(encoder, [one]) for one in CAPTIONS[:8]] + [rows(encoder, shuffled[i : i + 2]) for i in (0, 2, 4)]
    for other in others:
        for caption in other.keys() & together.keys():
            assert torch.equal(other[caption], together[caption]), caption
