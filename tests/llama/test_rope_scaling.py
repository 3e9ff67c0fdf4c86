"""Scaled frequencies: what each kind slows down, and the same numbers as transformers."""

from __future__ import annotations

import math

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.rope import RopeSettings, Rotary, rope_frequencies, rope_table
from motionlab.llama.rope_scaling import LinearScaling, Llama3Scaling, NTKScaling, RopeScaling, make_scaling


def test_linear_scaling_puts_a_longer_sequence_into_the_trained_angles() -> None:
    torch.testing.assert_close(rope_table(301, 32, scaling=LinearScaling(2.0))[::2], rope_table(151, 32))


def test_ntk_scaling_is_a_larger_base() -> None:
    scaling = NTKScaling(8.0)
    torch.testing.assert_close(
        scaling(rope_frequencies(64)), rope_frequencies(64, scaling.theta(10_000.0, 64)), rtol=1e-5, atol=0
    )
    scaled = scaling(rope_frequencies(64)) / rope_frequencies(64)
    assert scaled[0] == 1 and float(scaled[-1]) == pytest.approx(1 / 8)
    assert (scaled.diff() < 0).all()


def test_ntk_scaling_of_a_single_pair_changes_nothing() -> None:
    assert NTKScaling(4.0)(rope_frequencies(2)) == 1.0 and NTKScaling(4.0).theta(10_000.0, 2) == 10_000.0


def test_llama3_keeps_fast_pairs_and_slows_slow_ones() -> None:
    scaling = Llama3Scaling(8.0, original_length=301)
    frequencies = rope_frequencies(64)
    turns = 301 * frequencies / (2 * math.pi)
    ratio = scaling(frequencies) / frequencies
    assert (ratio[turns > 4] == 1).all() and (turns > 4).any()
    torch.testing.assert_close(ratio[turns < 1], torch.full_like(ratio[turns < 1], 1 / 8))
    between = ratio[(turns < 4) & (turns > 1)]
    assert len(between) and ((between < 1) & (between > 1 / 8)).all()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (LinearScaling(3.0), {"rope_type": "linear", "factor": 3.0}),
        (
            Llama3Scaling(8.0, original_length=301),
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 301,
            },
        ),
    ],
)
def test_as_transformers(ours: RopeScaling, theirs: dict[str, object]) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = transformers.LlamaConfig(
        hidden_size=128, num_attention_heads=2, rope_parameters={"rope_theta": 5e5, **theirs}
    )
    torch.testing.assert_close(ours(rope_frequencies(64, 5e5)), LlamaRotaryEmbedding(config).inv_freq)


def test_scaling_survives_a_move() -> None:
    rotary = Rotary(20, 8, scaling=LinearScaling(2.0))
    expected = rotary.table.clone()
    torch.testing.assert_close(rotary.bfloat16().table, expected, rtol=0, atol=0)


def test_names() -> None:
    assert make_scaling(None, 1.0, 301) is None
    assert make_scaling("linear", 2.0, 301) == LinearScaling(2.0)
    assert make_scaling("llama3", 2.0, 301) == Llama3Scaling(2.0, 301)
    with pytest.raises(InputError, match="yarn"):
        make_scaling("yarn", 2.0, 301)
    with pytest.raises(InputError, match="rope_factor"):
        make_scaling("linear", 0.5, 301)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_settings_that_give_no_angles_are_refused(value: float) -> None:
    for make in (LinearScaling, NTKScaling, lambda factor: Llama3Scaling(factor, original_length=301)):
        with pytest.raises(InputError, match="rope_scaling: factor"):
            make(value)
    with pytest.raises(InputError, match="rope_theta"):
        RopeSettings(value)
    with pytest.raises(InputError, match="rope_scaling: low: found 4.0, expected less than high"):
        Llama3Scaling(2.0, original_length=301, low=4.0)
