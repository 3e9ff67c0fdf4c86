"""Rotary settings of Hugging Face models: the angles of transformers, or a refusal by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.files.foreign_config import ForeignConfig
from motionlab.llama.rope import rope_frequencies
from motionlab.llama.weights.huggingface_rope import read_rope

transformers = pytest.importorskip("transformers")
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def read(max_length: int = 100, **values: Any) -> torch.Tensor:
    rope = read_rope(ForeignConfig("config.json", values, fix="Fix it."), max_length)
    frequencies = rope_frequencies(32, rope.theta)
    return frequencies if rope.scaling is None else rope.scaling(frequencies)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rope_theta": 5e5},
        {"rope_type": "default", "rope_theta": 500},
        {"rope_type": "linear", "factor": 4.0},
        {"rope_type": "linear", "factor": 1, "rope_theta": 1e6},
        {"rope_type": "dynamic", "factor": 2.0},
        LLAMA3,
        LLAMA3 | {"rope_theta": 5e5, "factor": 32.0, "high_freq_factor": 2.0},
    ],
    ids=str,
)
def test_the_angles_of_transformers(settings: dict[str, Any]) -> None:
    """For sequences up to the trained length, here 128."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = transformers.LlamaConfig(
        hidden_size=64, num_attention_heads=2, max_position_embeddings=128, rope_parameters=dict(settings) or None
    )
    theirs = LlamaRotaryEmbedding(config)
    cos, sin = theirs(torch.zeros(1, 100, 32), torch.arange(100)[None])  # [1, 100, 32], the angles twice
    angles = torch.outer(torch.arange(100.0), read(rope_parameters=settings, max_position_embeddings=128))
    torch.testing.assert_close(cos[0, :, :16], angles.cos(), rtol=0, atol=1e-5)
    torch.testing.assert_close(sin[0, :, :16], angles.sin(), rtol=0, atol=1e-5)


def test_earlier_versions_wrote_two_places() -> None:
    old: dict[str, Any] = {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 5e5}
    both = old | {"rope_parameters": {"rope_type": "linear", "type": "linear", "factor": 2.0, "rope_theta": 5e5}}
    assert torch.equal(read(**old), read(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 5e5}))
    assert torch.equal(read(**old), read(**both))
    with pytest.raises(
        InputError, match="config.json: rope_scaling: found .*, expected the same as in rope_parameters"
    ):
        read(**both | {"rope_scaling": {"type": "linear", "factor": 3.0}})


@pytest.mark.parametrize("kind", ["yarn", "longrope", "su", "ntk", "proportional", "mrope", "axial", "", 3, ["linear"]])
def test_other_kinds_are_refused_by_name(kind: object) -> None:
    for key in ("rope_type", "type"):
        with pytest.raises(InputError, match=f"config.json: rope_parameters: {key}: found"):
            read(rope_parameters={key: kind, "factor": 2.0})


def test_dynamic_ends_at_the_trained_length() -> None:
    """Beyond it, their base grows with every token: the angles of a token would depend on how many follow."""
    dynamic = {"rope_type": "dynamic", "factor": 2.0}
    settings: dict[str, Any] = {"rope_parameters": dynamic, "max_position_embeddings": 128}
    assert torch.equal(read(128, **settings), rope_frequencies(32))
    with pytest.raises(InputError, match="rope_type: found dynamic, expected .* longer than 128"):
        read(129, **settings)
    with pytest.raises(InputError, match="max_position_embeddings: found nothing"):
        read(rope_parameters=dynamic)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"rope_type": "linear"}, "factor: found nothing"),
        ({"rope_type": "linear", "factor": "2"}, "factor: found 2"),
        ({"rope_type": "linear", "factor": 0}, "factor: found 0"),
        ({"rope_type": "linear", "factor": 0.5}, "factor: found 0.5"),
        ({"rope_type": "linear", "factor": float("nan")}, "factor: found nan"),
        (
            {"rope_type": "linear", "factor": 2.0, "low_freq_factor": 1.0},
            "low_freq_factor: found 1.0, expected no such",
        ),
        ({"rope_type": "default", "factor": 2.0}, "factor: found 2.0, expected no such field"),
        ({"factor": 2.0}, "factor: found 2.0, expected no such field"),
        ({"rope_type": "linear", "type": "llama3", "factor": 2.0}, "type: found llama3, expected linear"),
        ({"rope_theta": 0}, "rope_theta: found 0"),
        ({"rope_theta": -10.0}, "rope_theta: found -10"),
        ({"rope_theta": "10000"}, "rope_theta: found 10000"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: found 0.5"),
        ({**LLAMA3, "original_max_position_embeddings": 0}, "original_max_position_embeddings: found 0"),
        ({**LLAMA3, "original_max_position_embeddings": None}, "original_max_position_embeddings: found nothing"),
        ({**LLAMA3, "high_freq_factor": 1.0}, "low_freq_factor: found 1.0, expected less than"),
        ({**LLAMA3, "low_freq_factor": None}, "low_freq_factor: found nothing"),
        ({"full_attention": {"rope_type": "default"}}, "full_attention: found"),
    ],
    ids=str,
)
def test_fields_are_refused_by_name(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"config.json: rope_parameters: {field}"):
        read(rope_parameters=settings)


def test_a_group_that_is_none() -> None:
    for value in ("linear", [1], 3):
        with pytest.raises(InputError, match="config.json: rope_scaling: found"):
            read(rope_scaling=value)
    with pytest.raises(InputError, match="config.json: original_max_position_embeddings: found 32, expected 64"):
        read(rope_parameters=LLAMA3, original_max_position_embeddings=32)
