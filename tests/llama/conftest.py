"""A decoder small enough to run in milliseconds, with weights large enough that its choices differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch

from motionlab.llama.model import MotionLlama
from motionlab.llama.variant import LlamaVariant
from motionlab.runtime import seeded
from motionlab.text.encoder import TextFeatures


@pytest.fixture
def make_model() -> Callable[..., MotionLlama]:
    """`make_model(n_kv_heads=2, ...)`; the same arguments give the same weights.

    Fields of `LlamaVariant` may be among the arguments.
    """
    variants = {field.name for field in fields(LlamaVariant)}

    def make(**changes: object) -> MotionLlama:
        variant: dict[str, object] = {"hidden": 48}
        arguments: dict[str, object] = {
            "codebook_size": 20,
            "n_layer": 2,
            "n_head": 4,
            "dim": 32,
            "text_dim": 6,
            "max_length": 48,
        }
        for name, value in changes.items():
            (variant if name in variants else arguments)[name] = value
        with seeded(3):
            model = MotionLlama(**arguments, variant=LlamaVariant(**variant))  # type: ignore[arg-type]
            for parameter in model.parameters():
                parameter.data.normal_(std=0.4)
        return model

    return make


@pytest.fixture
def text() -> TextFeatures:
    """Four prompts of 1, 5, 3 and 7 tokens. Unused slots hold large numbers: nothing may read them."""
    generator = torch.Generator().manual_seed(5)
    lengths = torch.tensor([1, 5, 3, 7])
    mask = torch.arange(7) < lengths[:, None]
    states = torch.randn(4, 7, 6, generator=generator)
    states[~mask] = 1e3
    return TextFeatures(states, mask)
