"""The formulas of the cache against the decoder: its tensors, its parameters, what it reads and what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from motionlab.cost.kv_cache import (
    CacheSettings,
    attention_parameters,
    cache_bytes,
    decoding_flops,
    positions_read,
)
from motionlab.errors import InputError
from motionlab.llama.decoding.next_logits import CachedReader, PlainReader
from motionlab.llama.model import Attention, MotionLlama

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _model(groups: int) -> MotionLlama:
    torch.manual_seed(0)
    return MotionLlama(60, n_layer=2, n_head=8, dim=64, text_dim=16, n_kv_heads=groups).eval()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([8, 4, 2, 1]), st.integers(1, 4), st.integers(1, 60), st.sampled_from(list(TYPES)))
def test_bytes_are_those_of_the_tensors(groups: int, batch: int, length: int, precision: str) -> None:
    cache = _model(groups).to(TYPES[precision]).new_cache(batch, length)
    described = CacheSettings(2, 8, 64, groups, batch=batch, length=length, precision=precision)
    assert described.bytes == cache.nbytes == cache.keys.nbytes + cache.values.nbytes
    assert described.shares == [8, 4, 2, 1] and described.bytes_with(8) == described.bytes * 8 // groups


@pytest.mark.parametrize("groups", [8, 4, 1])
def test_parameters_are_those_of_the_layer(groups: int) -> None:
    layer = Attention(64, 8, groups)
    assert attention_parameters(64, 8, groups) == sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("groups", [8, 2, 1])
def test_flops_and_positions_are_those_that_run(groups: int, cached: bool) -> None:
    model, prompt, new, batch = _model(groups), 5, 12, 3
    text, mask = torch.randn(batch, prompt, 16), torch.ones(batch, prompt, dtype=torch.bool)
    read: list[int] = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].shape[1]))
    # The plain attention is counted completely; the fused one of the CPU is not.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        reader: CachedReader | PlainReader
        if cached:
            reader = CachedReader(model, text, mask, new)
            reader.step = model.step  # the layers as modules
        else:
            reader = PlainReader(model, text, mask)
        logits = reader.first()
        for _ in range(new - 1):
            logits = reader.next(logits.argmax(-1))
    described = CacheSettings(2, 8, 64, groups, batch=batch)
    flops = decoding_flops(
        described, hidden=model.hidden_dim, outputs=61, text_dim=16, prompt=prompt, new=new, cached=cached
    )
    assert counter.get_total_flops() == flops
    assert sum(read) == positions_read(prompt, new, cached=cached)


def test_published_sizes() -> None:
    """By hand, for 301 positions in bf16: 2 * 36 * 32 * 301 * 128 * 2."""
    assert cache_bytes(36, 32, 128, length=301, number_bytes=2) == 177_537_024
    assert cache_bytes(36, 8, 128, length=301, number_bytes=2) == 177_537_024 // 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": 0}, "1 or more"),
        ({"length": -3}, "1 or more"),
        ({"n_kv_heads": 3}, "a divisor of n_head=8"),
        ({"n_head": 7, "n_kv_heads": 7}, "a divisor of dim=64"),
        ({"precision": "int3"}, "fp32 or bf16"),
    ],
)
def test_wrong_settings_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CacheSettings(**({"n_layer": 2, "n_head": 8, "dim": 64, "n_kv_heads": 2} | change))
