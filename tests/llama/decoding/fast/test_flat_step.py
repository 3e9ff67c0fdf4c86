"""The flat function equals the modules, for every kind of decoder; where it cannot, the modules do the work."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from motionlab.llama.cache import KVCache
from motionlab.llama.decoding.fast.flat_step import FlatDecoder, flat_decoder
from motionlab.llama.decoding.generate import generate
from motionlab.llama.decoding.sampling import Sampling
from motionlab.llama.model import MotionLlama
from motionlab.llama.rope import RopeSettings
from motionlab.llama.rope_scaling import LinearScaling
from motionlab.text.encoder import TextFeatures

Make = Callable[..., MotionLlama]


@pytest.mark.parametrize("rows", [[3], [1, 1], [0, 1, 2, 3]], ids=["one", "even", "ragged"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_kv_heads": 2},
        {"n_kv_heads": 1},
        {"qk_norm": True, "n_kv_heads": 2},
        {"tied_embeddings": True},
        {"rope": RopeSettings(scaling=LinearScaling(3.0)), "norm_eps": 0.1},
    ],
    ids=str,
)
@torch.no_grad()
def test_every_step_equals_the_modules(
    make_model: Make, text: TextFeatures, changes: dict[str, Any], rows: list[int]
) -> None:
    model, part = make_model(**changes), text.rows(rows)
    for name, parameter in model.named_parameters():
        if name.endswith("scale"):
            parameter.data.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(len(name)))
    flat, plain = (model.new_cache(len(part), part.mask.shape[1] + 15) for _ in range(2))
    decoder = FlatDecoder(model)
    for cache in (flat, plain):
        model.prefill(part.states, part.mask, cache)
    assert flat.has_gaps == (len(rows) == 4)
    codes = torch.randint(20, (15, len(part)), generator=torch.Generator().manual_seed(0))
    for at, tokens in enumerate(codes):
        flat.used += 1
        plain.used += 1
        found = decoder.step(tokens, part.lengths + at, flat)
        expected = model.step(tokens, part.lengths + at, plain)
        # Of the largest number: these weights are twenty times as large as real ones, and so is the rounding.
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-5 * float(expected.abs().max()))
    torch.testing.assert_close(flat.keys, plain.keys, rtol=0, atol=1e-5 * float(plain.keys.abs().max()))


@pytest.mark.parametrize("batch", [1, 4])
@torch.no_grad()
def test_weights_of_ordinary_size(make_model: Make, batch: int) -> None:
    """Of a width with blocks and a rest in every product: logits differ by 1e-5 at most."""
    model = make_model(dim=80, n_head=4, n_kv_heads=2, hidden=208, codebook_size=300)
    model.reset_parameters()
    states, mask = torch.randn(batch, 1, 6, generator=torch.Generator().manual_seed(0)), torch.ones(batch, 1)
    flat, plain = (model.new_cache(batch, 20) for _ in range(2))
    for cache in (flat, plain):
        model.prefill(states, mask, cache)
    for at in range(15):
        flat.used += 1
        plain.used += 1
        tokens, places = torch.full((batch,), at), torch.full((batch,), 1 + at)
        found, expected = flat_decoder(model).step(tokens, places, flat), model.step(tokens, places, plain)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_where_it_is_used(make_model: Make) -> None:
    assert FlatDecoder.fits(make_model()) and FlatDecoder.fits(make_model(tied_embeddings=True))
    assert not FlatDecoder.fits(make_model(), limit=1000)
    assert not FlatDecoder.fits(make_model().bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not FlatDecoder.fits(make_model())


def test_weights_changed_between_calls_count(make_model: Make, text: TextFeatures) -> None:
    model, sampling = make_model(), Sampling(max_tokens=12, greedy=True)
    generate(model, text.states, text.mask, sampling)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    cached = generate(model, text.states, text.mask, sampling)
    plain = generate(model, text.states, text.mask, sampling, use_cache=False)
    assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(cached, plain, strict=True))


def test_it_is_made_once_for_the_same_weights(make_model: Make) -> None:
    model = make_model(n_kv_heads=2)
    with torch.inference_mode():
        made = flat_decoder(model)
    assert flat_decoder(model).layers is made.layers and flat_decoder(model) is not made
    assert flat_decoder(make_model(n_kv_heads=2)).layers is not made.layers
    other = made
    for name, change in {
        "one number": lambda weight: weight[1, 2].add_(1e-5),
        "rows in another order": lambda weight: weight.copy_(weight.flip(0).clone()),
        "columns in another order": lambda weight: weight.copy_(weight.flip(1).clone()),
        "signs": lambda weight: weight.neg_(),
    }.items():
        for part in ("attn.c_attn", "mlp.c_fc2"):
            change(model.get_parameter(f"transformer.h.1.{part}.weight").data)  # unseen by torch's version counter
            newest = flat_decoder(model)
            assert newest.layers is not other.layers, name
            other = newest
    with torch.no_grad():
        model.get_parameter("transformer.ln_f.scale").mul_(2.0)
    assert flat_decoder(model).layers is not other.layers


def test_one_that_was_made_in_inference_mode_works_outside(make_model: Make, text: TextFeatures) -> None:
    model = make_model()
    found = []
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            cache = model.new_cache(4, 9)
            model.prefill(text.states, text.mask, cache)
            cache.used += 1
            found.append(flat_decoder(model).step(torch.ones(4, dtype=torch.long), text.lengths, cache))
    assert torch.equal(*found)


def test_a_model_that_is_gone_leaves_no_copies(make_model: Make) -> None:
    model = make_model()
    copies = weakref.ref(flat_decoder(model).layers[0])
    del model
    gc.collect()
    assert copies() is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_generate_with_the_modules(make_model: Make, text: TextFeatures, dtype: torch.dtype) -> None:
    model = make_model().to(dtype)
    made = generate(model, text.states.to(dtype), text.mask, Sampling(max_tokens=8))
    assert all(1 <= len(one.tokens) <= 8 for one in made)
    assert isinstance(model.new_cache(1, 8), KVCache) and model.new_cache(1, 8).keys.dtype == dtype
