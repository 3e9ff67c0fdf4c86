"""ONNX Runtime writes the tokens of the torch path; only rounded weights may change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from motionlab.errors import InputError
from motionlab.llama.decoding.engine.reader import OnnxReader
from motionlab.llama.decoding.generate import Generated, generate
from motionlab.llama.decoding.next_logits import CachedReader, Reader
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import LinearScaling
from motionlab.text.encoder import TextFeatures

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
Make = Callable[..., MotionLlama]

KINDS: list[dict[str, Any]] = [
    {},  # heads of 8 channels, which the engine widens to 16
    {"n_kv_heads": 1, "dim": 64},  # of 16, as the engine wants them
    {"n_kv_heads": 2, "dim": 80, "n_head": 4},  # of 20
    {"qk_norm": True, "n_kv_heads": 2},
    {"qk_norm": True, "dim": 64, "tied_embeddings": True},
    {"rope": RopeSettings(scaling=LinearScaling(3.0)), "norm_eps": 0.1, "n_layer": 1},
]


def both(model: MotionLlama, text: TextFeatures, tokens: int, **kind: Any) -> tuple[Reader, Reader]:
    mask = text.mask.bool()
    return CachedReader(model, text.states, mask, tokens), OnnxReader(model, text.states, mask, tokens, **kind)


def tokens_of(made: list[Generated]) -> list[list[int]]:
    return [one.tokens.tolist() for one in made]


@pytest.mark.parametrize("rows", [[3], [1, 1], [0, 1, 2, 3]], ids=["one", "even", "ragged"])
@pytest.mark.parametrize("changes", KINDS, ids=str)
@torch.no_grad()
def test_every_step_equals_torch(
    make_model: Make, text: TextFeatures, changes: dict[str, Any], rows: list[int]
) -> None:
    model = make_model(**changes)
    for name, parameter in model.named_parameters():
        if name.endswith("scale"):
            parameter.data.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(len(name)))
    plain, fast = both(model, text.rows(rows), 15)
    assert torch.equal(plain.first(), fast.first())
    for codes in torch.randint(20, (15, len(rows)), generator=torch.Generator().manual_seed(0)):
        expected, found = plain.next(codes), fast.next(codes)
        # Of the largest number: these weights are twenty times as large as real ones, and so is the rounding.
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("batch", [1, 4])
@torch.no_grad()
def test_weights_of_ordinary_size(make_model: Make, batch: int) -> None:
    model = make_model(dim=64, n_head=4, n_kv_heads=2, hidden=208, codebook_size=300)
    model.reset_parameters()
    states = torch.randn(batch, 2, 6, generator=torch.Generator().manual_seed(0))
    plain, fast = both(model, TextFeatures(states, torch.ones(batch, 2, dtype=torch.bool)), 20)
    plain.first(), fast.first()
    for at in range(20):
        codes = torch.full((batch,), at)
        torch.testing.assert_close(fast.next(codes), plain.next(codes), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_tokens=30, greedy=True),
        Sampling(max_tokens=30, seed=1),
        Sampling(max_tokens=30, guidance=2.5, seed=4),
        Sampling(max_tokens=30, temperature=0.8, top_k=5, seed=2),
        Sampling(max_tokens=25, top_p=0.7, repetition_penalty=1.2, no_repeat_ngram=2, min_tokens=5, seed=3),
    ],
    ids=["greedy", "draw", "guided", "top-k", "top-p"],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_generate_writes_the_same_tokens(
    make_model: Make, text: TextFeatures, sampling: Sampling, samples: int
) -> None:
    model = make_model(n_kv_heads=2)
    torch_made, onnx_made = (
        generate(model, text.states, text.mask, sampling, samples=samples, engine=engine)
        for engine in ("torch", "onnx")
    )
    assert tokens_of(torch_made) == tokens_of(onnx_made)
    assert [one.stopped_by for one in torch_made] == [one.stopped_by for one in onnx_made]
    lengths = [len(one.tokens) for one in torch_made]
    assert sampling.greedy or len(set(lengths)) > 1  # rows left the batch at different steps


def test_given_lengths(make_model: Make, text: TextFeatures) -> None:
    model, sampling = make_model(), Sampling(max_tokens=12, seed=2)
    made = [
        generate(model, text.states, text.mask, sampling, lengths=[3, 12, 1, 7], engine=engine)
        for engine in ("torch", "onnx")
    ]
    assert tokens_of(made[0]) == tokens_of(made[1]) and [len(one.tokens) for one in made[1]] == [3, 12, 1, 7]


@torch.no_grad()
def test_int8_stays_near(make_model: Make, text: TextFeatures) -> None:
    """Rounded weights: logits move by some per cent of their spread, not by none and not by much."""
    model = make_model(dim=64, n_kv_heads=2)
    for parameter in model.parameters():
        parameter.data.mul_(0.25 if parameter.dim() == 2 else 1.0)
    plain, fast = both(model, text, 10, int8=True)
    assert torch.equal(plain.first(), fast.first())  # torch reads the text
    errors = []
    for codes in torch.randint(20, (10, 4), generator=torch.Generator().manual_seed(0)):
        expected, found = plain.next(codes), fast.next(codes)
        errors.append(float((expected - found).std() / expected.std()))
    assert 1e-4 < sum(errors) / len(errors) < 0.1


def test_half_precision_weights_are_read(make_model: Make, text: TextFeatures) -> None:
    """The engine computes in float32 with the numbers of the weights; torch reads the text in their own dtype."""
    model = make_model(dim=64).bfloat16()
    wide = make_model(dim=64).bfloat16().float()
    mask = text.mask.bool()
    with torch.no_grad():
        half, full = OnnxReader(model, text.states, mask, 4), OnnxReader(wide, text.states, mask, 4)
        half.first(), full.first()
        half.stored.copy_(full.stored)
        codes = torch.tensor([1, 2, 3, 4])
        assert torch.equal(half.next(codes), full.next(codes)) and model.llama_proj.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("changes", [{"use_cache": False}, {"compiled": True}])
def test_what_an_engine_cannot_do(make_model: Make, text: TextFeatures, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="engine: found onnx"):
        generate(make_model(), text.states, text.mask, Sampling(max_tokens=3), engine="onnx", **changes)


def test_another_device_is_refused(make_model: Make, text: TextFeatures) -> None:
    with pytest.raises(InputError, match="a model on meta"):
        OnnxReader(make_model().to("meta"), text.states, text.mask.bool(), 3)
